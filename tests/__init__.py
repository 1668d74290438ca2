"""Tests: `unit` for pure code, `integration` with a real Redis, `e2e` with real processes."""
