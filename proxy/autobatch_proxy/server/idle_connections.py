"""End connections that are idle, or whose client does not read its answer.

aiohttp closes a connection between two requests, and one whose head is not complete, some seconds after the end of the
last request. It does not where that one was answered by a shortcut, which ends its timer of the connection. What it has written then waits in the kernel and in the transport, for as long as the client likes. nginx
ends such connections sooner; this is for clients that reach a worker without it.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from autobatch_proxy.server.connections import Connection

PATIENCE_S = 90.0  # above the 75 s after which aiohttp ends connections, and nginx's 60 s


class _Seen(NamedTuple):
    """A connection at a look: how many bytes wait to be read by its client, and since when it is not one less."""

    unread_bytes: int
    since_s: float


class IdleConnections:
    """Ends the idle connections of one server.

    Args:
        connections: Returns all connections that the server has now.
        patience_s: Seconds since the last answer was written and since the client last read some of it.
    """

    def __init__(self, connections: Callable[[], Iterable[Connection]], patience_s: float = PATIENCE_S) -> None:
        self._connections = connections
        self._patience_s = patience_s
        self._seen: dict[Connection, _Seen] = {}

    def close_old(self, now_s: float) -> None:
        """End those that were idle for so long; `now_s` is on the loop's clock."""
        before, self._seen = self._seen, {}
        for connection in self._connections():
            if connection.is_computing:
                continue
            unread_bytes = connection.unread_bytes
            seen = before.get(connection)
            if seen is None or unread_bytes != seen.unread_bytes:
                seen = _Seen(unread_bytes, now_s if unread_bytes else connection.idle_since_s)
            since_s = max(seen.since_s, connection.idle_since_s)
            if now_s - since_s < self._patience_s:
                self._seen[connection] = seen
            else:
                connection.abort()

    async def watch(self) -> float:
        """End old ones now; return when to look again, in seconds."""
        self.close_old(asyncio.get_running_loop().time())
        return self._patience_s / 4
