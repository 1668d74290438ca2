"""What clients of each API send, and what they read. Pure."""
