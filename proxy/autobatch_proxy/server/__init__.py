"""Sockets and connections beneath the routes: gunicorn's worker, and what a connection answers before a route is found."""
