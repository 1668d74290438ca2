"""Real SDKs, unmodified, over HTTP against the whole system with the real model."""
