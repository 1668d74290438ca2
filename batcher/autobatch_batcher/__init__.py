"""Claims jobs, forms batches, owns the upstream calls. Never speaks HTTP to clients."""
