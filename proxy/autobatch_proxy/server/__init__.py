"""Sockets and connections beneath the routes: gunicorn's worker, and what a connection is told where no route speaks."""
