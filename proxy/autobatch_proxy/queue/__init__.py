"""The worker's way through Redis: asking, the cache before it, admission, and what is known of the batchers."""
