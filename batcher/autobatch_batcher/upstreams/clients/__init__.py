"""How bytes get to an upstream: over HTTP, or over gRPC."""
