"""Arbitrary bytes at every place that reads untrusted bytes: see `docs/bad-input.md`."""
