"""A client's connection, and what it answers before a route is found: where aiohttp has texts of its own, TEI has none.

1. What cannot be read as a request gets a status without a body, and the connection ends, as TEI's own server does it.
2. What fails beside the routes is an error of ours, in TEI's shape.
3. A connection knows since when it is idle: from the end of its last answer.
4. A stop begins with the end of accepting, and what was accepted before is still read: see autobatch_shared/stopping.py.
"""

from asyncio import BaseTransport, Transport
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.web_request import BaseRequest

from autobatch_proxy.http.answers import error_response
from autobatch_proxy.server.shortcut import ShortcutConnection
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.stopping import PatientRunner


class Connection(ShortcutConnection):
    """One connection; arguments as of `ShortcutConnection`."""

    __slots__ = ("_wire",)

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._wire: Transport | None = None

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


class Runner(PatientRunner):
    """An application on such connections."""

    connection = Connection

    @property
    def connections(self) -> Sequence[Connection]:
        """Those that it has now."""
        return cast("Sequence[Connection]", super().connections)
