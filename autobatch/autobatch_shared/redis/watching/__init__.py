"""What processes did in the last minute, through Redis."""
