"""Keep processes running: start, look, restart, stop."""
