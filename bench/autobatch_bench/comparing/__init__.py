"""Comparing sides: rounds of load, targets, and the runs that measure them."""
