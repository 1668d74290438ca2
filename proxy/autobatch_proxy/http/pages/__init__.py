"""The pages about this system: what it is, how it is, and its documentation."""
