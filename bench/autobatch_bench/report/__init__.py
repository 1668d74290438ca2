"""Results as shown in a terminal and on a page."""
