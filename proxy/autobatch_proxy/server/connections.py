"""A client's connection, and what it answers before a route is found: where aiohttp has texts of its own, TEI has none.

1. What cannot be read as a request gets a status without a body, and the connection ends, as TEI's own server does it.
2. What fails beside the routes is an error of ours, in TEI's shape.
3. A connection knows since when it is idle: from the end of its last answer.
4. A stop begins with the end of accepting, and what was accepted before is still read: see requests_to_come.py.
"""

import asyncio
from asyncio import BaseTransport, Transport
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.web_request import BaseRequest

from autobatch_proxy.http.answers import error_response
from autobatch_proxy.server.requests_to_come import let_come
from autobatch_proxy.server.shortcut import ShortcutConnection
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.refusals import RefusingRunner


class Connection(ShortcutConnection):
    """One connection."""

    _wire: Transport | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Note the transport: aiohttp forgets it before everything has been read."""
        super().connection_made(transport)
        self._wire = cast("Transport", transport)

    @property
    def idle_since_s(self) -> float:
        """When its last answer was written, or it was made; on the loop's clock."""
        return self._next_keepalive_close_time - self.keepalive_timeout  # aiohttp's, with no public name

    @property
    def is_computing(self) -> bool:
        """Whether a handler has its request."""
        return self._current_request is not None or self._taken is not None  # not public, and nothing public says it

    @property
    def is_new(self) -> bool:
        """Whether it was made, and has brought no request."""
        return self._request_count == 0 and self.transport is not None  # aiohttp's count, with no public name

    @property
    def is_receiving(self) -> bool:
        """Whether a handler has its request, whose body is not whole."""
        request = self._current_request
        return request is not None and self.transport is not None and not request.content.is_eof()

    @property
    def unread_bytes(self) -> int:
        """How many bytes of its answers the kernel has not taken."""
        return 0 if self._wire is None else self._wire.get_write_buffer_size()

    def abort(self) -> None:
        """End it, without the rest of its answer."""
        if self._wire is not None:
            self._wire.abort()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Log an error that no route answered, and return its answer; the connection ends with it.

        Raises:
            ConnectionError: An answer was begun already.
        """
        refusal = super().handle_error(request, status, exc, message)
        if status == HTTPStatus.BAD_REQUEST:
            return refusal
        failed = error_response(AutobatchError())
        failed.force_close()
        return failed


class Runner(RefusingRunner):
    """An application on such connections."""

    connection = Connection

    async def cleanup(self) -> None:
        """Accept no more connections, read what those that there are have to bring, answer it, and end them."""
        for site in self.sites:
            await site.stop()
        began_s = asyncio.get_running_loop().time()
        await let_come(lambda: self.connections, self._shutdown_timeout)
        took_s = asyncio.get_running_loop().time() - began_s
        self._shutdown_timeout = max(self._shutdown_timeout - took_s, 1.0)  # aiohttp's, with no public name
        await super().cleanup()

    @property
    def connections(self) -> list[Connection]:
        """Those that it has now."""
        return [] if self.server is None else cast("list[Connection]", self.server.connections)
