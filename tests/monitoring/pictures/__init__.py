"""Pictures of what an operator sees: the board, `top`, /dashboard."""
