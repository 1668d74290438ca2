"""Fourteen upstreams under seven kinds of traffic: nowhere are the batchers' defaults worse than the best fixed policy."""
