"""Spans of batches and calls, for traces over OpenTelemetry."""
