"""The embedded default upstream: a real sentence-embedding model on the CPU behind TEI's API. Knows no Redis."""
