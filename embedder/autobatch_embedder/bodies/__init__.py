"""Request bodies, read as TEI reads them, with its words for what is wrong."""
