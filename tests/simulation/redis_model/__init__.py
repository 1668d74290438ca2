"""Redis as far as the queue uses it: its data, its commands, its own scripts, and its connections."""
