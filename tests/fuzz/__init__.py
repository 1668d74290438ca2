"""Any bytes, at every place where bytes come in from somebody else: see `docs/bad-input.md`."""
