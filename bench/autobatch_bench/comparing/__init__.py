"""Sides beside each other: rounds, promises, and the runs that judge them."""
