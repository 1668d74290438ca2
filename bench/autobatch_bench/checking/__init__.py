"""Whether every answer is the sender's own."""
