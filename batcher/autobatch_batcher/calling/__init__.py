"""Batches into replies: calls, retries, splits, suspects, counts of tokens."""
