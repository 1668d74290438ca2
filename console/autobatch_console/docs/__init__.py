"""The documents that are made of the settings."""
