"""Servers that run in environments of their own, beside what they need: nothing of the project is imported here."""
