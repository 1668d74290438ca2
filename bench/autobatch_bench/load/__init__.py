"""Kinds of load, the requests that are sent, and their outcome."""
