"""Every route of clients before every kind of upstream: docs/upstreams/matrix.md."""
