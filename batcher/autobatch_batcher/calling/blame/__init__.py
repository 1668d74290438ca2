"""Whose input it was that a call failed for: only that one gets the error."""
