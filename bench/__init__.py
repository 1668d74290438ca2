"""Load, reports and the upstreams they run against, over HTTP only."""
