"""Request bodies, read as TEI reads them, with its error messages."""
