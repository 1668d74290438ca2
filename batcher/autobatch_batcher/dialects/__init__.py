"""What each kind of upstream understands and says. Pure."""
