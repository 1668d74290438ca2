"""Keep processes running: start, check, restart, stop."""
