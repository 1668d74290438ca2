"""When which jobs leave as one batch. Pure."""
