"""The replicas: state, slots, limits, and what their calls teach."""
