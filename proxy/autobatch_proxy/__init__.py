"""The HTTP edge: bodies to jobs, replies to bodies. Never calls an upstream."""
