"""Close idle connections: aiohttp closes only those that wait for their next request.

A client that connects and sends nothing, never finishes its head or does not read its answer would hold its place for
ever. nginx closes such connections sooner; this is for clients that reach a worker without it.
"""

import asyncio
from collections.abc import Callable, Iterable

from aiohttp.web_protocol import RequestHandler

PATIENCE_S = 90.0  # above the 75 s that a connection may be idle between two requests, which is aiohttp's to end


class IdleConnections:
    """Closes the idle connections of one server.

    Args:
        connections: Returns all connections that the server has now.
        patience_s: Seconds that a connection may have no request that is worked on.
    """

    def __init__(self, connections: Callable[[], Iterable[RequestHandler]], patience_s: float = PATIENCE_S) -> None:
        self._connections = connections
        self._patience_s = patience_s
        self._idle_since_s: dict[RequestHandler, float] = {}

    def close_old(self, now_s: float) -> None:
        """Close those that had no request at any look for so long; `now_s` is on a monotonic clock."""
        before, self._idle_since_s = self._idle_since_s, {}
        for connection in self._connections():
            # Not public, and nothing public says whether a request is being answered.
            if connection._current_request is not None or connection.transport is None:  # noqa: SLF001
                continue
            since_s = before.get(connection, now_s)
            if now_s - since_s < self._patience_s:
                self._idle_since_s[connection] = since_s
            else:
                connection.transport.abort()

    async def watch(self) -> float:
        """Close old ones now; return when to look again, in seconds."""
        self.close_old(asyncio.get_running_loop().time())
        return self._patience_s / 4
