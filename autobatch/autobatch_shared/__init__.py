"""What two processes must agree on, and nothing else: keys, frames, queue operations, settings, errors."""
