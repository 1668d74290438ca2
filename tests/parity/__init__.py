"""The proxy compared with its upstream: the same request to both must get the same answer."""
