"""Is a port free, and which one is.

Only binding shows that; another process may still take it first, and then the part reports it.
"""

import socket
from collections.abc import Collection


class PortError(Exception):
    """It is not possible to listen on the public address; the text says why."""


def check(host: str, port: int) -> None:
    """Bind, and close the socket.

    Raises:
        PortError: The address is in use or not allowed; the text is for users.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()  # without it, SO_REUSEADDR lets two processes bind the same port
    except OSError as error:
        raise PortError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from error


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        check(host, port)
    except PortError:
        return False
    return True


def choose(host: str, configured: int, taken: Collection[int]) -> int:
    """Return the configured port if it is free and not in `taken`, else one that is. Port 0 always means any."""
    port = configured
    while not port or port in taken or not is_free(host, port):
        port = _any_free(host)
    return port


def _any_free(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as probe:
        return int(probe.getsockname()[1])
