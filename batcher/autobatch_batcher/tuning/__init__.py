"""What the calls to one upstream teach: what they cost, how many to make at once, and how large."""
