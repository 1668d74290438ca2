"""What one request becomes: jobs, and one answer of their rows. Pure."""
