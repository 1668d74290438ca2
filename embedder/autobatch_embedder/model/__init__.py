"""From texts to vectors: tokens, the network, forward passes."""
