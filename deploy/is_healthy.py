"""`python -IS is_healthy.py PORT [PATH]`: succeed if `GET PATH` on this container's PORT answers 200. PATH is `/health` unless given.

For the health checks of docker-compose.yml, which run every few seconds in every container: with `urllib` in place
of a socket each would cost several times the CPU.
"""  # noqa: INP001 - a script, not a package

import socket
import sys

with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2) as connection:
    path = sys.argv[2] if len(sys.argv) > 2 else "/health"
    connection.sendall(b"GET %b HTTP/1.0\r\nHost: localhost\r\n\r\n" % path.encode())
    sys.exit(not connection.recv(64).startswith((b"HTTP/1.0 200", b"HTTP/1.1 200")))
