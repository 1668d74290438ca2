"""The proxy beside its upstream: one request to both, and one answer from both."""
