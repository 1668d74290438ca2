"""What the upstreams are asked before a start, and what is said of their answers."""
