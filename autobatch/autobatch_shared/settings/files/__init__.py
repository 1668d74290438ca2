"""What is read from files in the working folder, before it is settings."""
