"""Every setting, where it is read from, and its description."""
