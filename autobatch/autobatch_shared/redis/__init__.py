"""How it goes there and back: connections, the ends of the queue, scripts, the cache."""
