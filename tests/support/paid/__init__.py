"""A server that bills, and the ways in which servers count."""
