"""What goes through Redis between processes: names of keys, frames, reports, errors. Pure."""
