"""Programs that use the generated clients."""
