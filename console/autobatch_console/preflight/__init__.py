"""What must be true before anything starts: Redis, the upstreams, files and ports are looked at, and judged."""
