"""Arbitrary bytes at every place that reads untrusted bytes: see `docs/reference/bad-input.md`."""
