"""The working loop, and what is claimed from the queue."""
