"""Kinds of load, the requests that it is made of, and what became of them."""
