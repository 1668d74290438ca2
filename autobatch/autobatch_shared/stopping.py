"""A server that stops: before it ends its connections it reads the requests that clients have begun to send.

From the moment when aiohttp ends a connection it reads nothing more of it, also where a client connected just before and has
not yet sent its request, or has sent half of a body. Both would be lost, with nothing that says why.

A connection between two requests is not waited for. A client that sends its next one just when a server ends the connection
cannot know whether it was read: HTTP leaves that to the client, which may send it again.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from aiohttp import web

from autobatch_shared.bell import pause
from autobatch_shared.refusals import RefusingConnection, RefusingRunner

FIRST_REQUEST_S = 1.0  # from the end of accepting: a client sends its request a round trip after it has connected
LOOK_EVERY_S = 0.01  # only while a server stops: that a body is whole is not announced


class IncomingConnection(Protocol):
    """What is asked of a connection."""

    @property
    def is_new(self) -> bool:
        """Whether it was made, and has brought no request."""

    @property
    def is_receiving(self) -> bool:
        """Whether a handler has its request, whose body is not whole."""


async def let_come(connections: Callable[[], Iterable[IncomingConnection]], body_max_s: float) -> None:
    """Return once no request is to come, or not in time.

    Args:
        connections: Returns all connections that the server has now. No more are accepted.
        body_max_s: Seconds for the rest of a body.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        await pause(LOOK_EVERY_S)  # first of all: one that was accepted last is made in the loop's next turns
        took_s = loop.time() - began_s
        if not any(
            (each.is_new and took_s < FIRST_REQUEST_S) or (each.is_receiving and took_s < body_max_s)
            for each in connections()
        ):
            return


class PatientConnection(RefusingConnection):
    """A connection that says what is still to come of it. An `IncomingConnection`."""

    __slots__ = ()

    @property
    def is_new(self) -> bool:
        """Whether it was made, and has brought no request."""
        return self._request_count == 0 and self.transport is not None  # aiohttp's count, with no public name

    @property
    def is_receiving(self) -> bool:
        """Whether a handler has its request, whose body is not whole."""
        request = self._current_request  # not public, and nothing public says it
        return request is not None and self.transport is not None and not request.content.is_eof()


class PatientRunner(RefusingRunner):
    """An application that stops without losing a request that has begun to come. Arguments as of `RefusingRunner`."""

    connection: type[PatientConnection] = PatientConnection

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, **options)
        self._is_stopping = False
        app.on_response_prepare.append(self._say_last)

    async def cleanup(self) -> None:
        """Accept no more connections, read what those that there are have to bring, answer it, and end them."""
        self._is_stopping = True
        for site in self.sites:
            await site.stop()
        began_s = asyncio.get_running_loop().time()
        await let_come(lambda: self.connections, self._shutdown_timeout)
        took_s = asyncio.get_running_loop().time() - began_s
        self._shutdown_timeout = max(self._shutdown_timeout - took_s, 1.0)  # aiohttp's, with no public name
        await super().cleanup()

    @property
    def connections(self) -> Sequence[PatientConnection]:
        """Those that it has now."""
        return [] if self.server is None else cast("Sequence[PatientConnection]", self.server.connections)

    async def _say_last(self, _request: web.BaseRequest, response: web.StreamResponse) -> None:
        """A client that keeps its connection would send the next request just when it ends."""
        if self._is_stopping:
            response.force_close()
            response.headers["Connection"] = "close"  # aiohttp has decided on it by now
