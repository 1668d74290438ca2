"""TEI's routes, answers and errors."""
