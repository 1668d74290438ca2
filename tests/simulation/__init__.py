"""The real worker and the real batcher in one process, under virtual time, with a fault at any await; a seed is a schedule."""
