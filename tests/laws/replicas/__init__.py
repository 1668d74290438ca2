"""Several upstreams of which one is much slower."""
