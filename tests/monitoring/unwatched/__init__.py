"""Processes without what watches them: `sitecustomize.py` for their start, and what its steps cost."""
