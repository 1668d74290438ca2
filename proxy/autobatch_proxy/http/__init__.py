"""Routes, handlers, answers and headers: aiohttp ends here."""
