"""Texts to vectors: tokens, the network, passes of it."""
