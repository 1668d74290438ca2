"""The spans of batches and calls. To be imported only where traces are on."""
