"""Checks that each answer is the sender's own."""
