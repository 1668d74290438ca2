"""Traces over OpenTelemetry: whether there are any, and how spans get out of this process."""
