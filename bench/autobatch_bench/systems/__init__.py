"""The systems under test, their upstreams, and their use of CPU and memory."""
