"""What each process says of its last minute, and the view of the fleet that is made of it. Pure."""
