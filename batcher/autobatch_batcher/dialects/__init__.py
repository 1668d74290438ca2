"""What each kind of upstream understands and says. Pure. One file a dialect, one line in the table of INFERENCE_DIALECT."""
