"""Runs under virtual time that are written out and not drawn."""
