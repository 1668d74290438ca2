"""Is a port free, and which one is.

Only binding shows that; another process may still take it first, and then the part reports it.
"""

import errno
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

TCP_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTENS = "0A"  # linux/net/tcp_states.h


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
        by = holder_of(port) if error.errno == errno.EADDRINUSE else ""
        raise PortError(f"cannot listen on {host}:{port}: {error.strerror}{by}") from error


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        check(host, port)
    except PortError:
        return False
    return True


def holder_of(port: int) -> str:
    """Return ` by NAME (pid N)` of who listens on a port; empty where the system does not say. Linux only."""
    sockets = {f"socket:[{inode}]" for file in TCP_TABLES for inode in _listening(Path(file), port)}
    for holder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's process, or one that has ended
            if any(str(each.readlink()) in sockets for each in (holder / "fd").iterdir()):
                return f" by {(holder / 'comm').read_text().strip()} (pid {holder.name})"
    return ""


def _listening(table: Path, port: int) -> list[str]:
    """The inodes of the sockets that listen on a port; none where there is no such table."""
    if not table.exists():
        return []
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return [row[9] for row in rows if row[3] == LISTENS and row[1].endswith(f":{port:04X}")]


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
