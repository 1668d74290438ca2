"""What was measured, for a terminal and as a page."""
