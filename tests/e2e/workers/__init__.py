"""Workers alone, as processes of a gunicorn master."""
