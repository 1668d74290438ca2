"""A client's connection, and what it answers before a route is found: where aiohttp has texts of its own, TEI has none.

1. What cannot be read as a request gets a status without a body, and the connection ends, as TEI's own server does it.
2. What fails beside the routes is an error of ours, in TEI's shape.
3. A connection knows since when it is idle: from the end of its last answer, whoever looks and when.
"""

from asyncio import BaseTransport, Transport
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from autobatch_proxy.http.answers import error_response
from autobatch_shared.contract.errors import AutobatchError


class Connection(RequestHandler):
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
        return self._current_request is not None  # not public, and nothing public says it

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
        super().handle_error(request, status, exc, message)
        if status != HTTPStatus.BAD_REQUEST:
            failed = error_response(AutobatchError())
            failed.force_close()
            return failed
        too_long = isinstance(exc, LineTooLong)
        return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST)


class Refusal(web.StreamResponse):
    """A status, and nothing else."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status=status)
        self._refused = status

    @property
    def keep_alive(self) -> bool:
        """False: it is unknown where the next request would begin."""
        return False

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write everything."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client disconnected")
        status = b"%d %b" % (self._refused, self._refused.phrase.encode())
        transport.write(
            b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\nDate: %b\r\n\r\n"
            % (status, rfc822_formatted_time().encode())
        )
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


class Runner(web.AppRunner):
    """An application on such connections."""

    @property
    def connections(self) -> list[Connection]:
        """Those that it has now."""
        return [] if self.server is None else cast("list[Connection]", self.server.connections)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)
