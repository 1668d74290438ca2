"""What an operator sees: docs/metrics.md, the board and the alert rules, checked by a real Prometheus where there is one."""
