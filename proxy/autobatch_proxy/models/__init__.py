"""The models that one worker can ask: their names, their ends, and which one a request is for."""
