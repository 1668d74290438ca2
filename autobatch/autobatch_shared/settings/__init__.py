"""What people may set, where it is read from, and what is said of it."""
