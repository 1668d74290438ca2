"""Histogram buckets that two processes share, with their unit in the name."""

#: A quantile is read from these to within a quarter of itself: from 0.5 ms to 30 s, which is the longest request's time.
LATENCY_BUCKETS_S = (*(float(f"{0.0005 * 1.25**step:.3g}") for step in range(50)), 30.0)
BATCH_INPUTS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
BYTES_BUCKETS = tuple(4**power for power in range(4, 12))  # 256 bytes to 4 MiB
SHARE_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
