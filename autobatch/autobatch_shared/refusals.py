"""What every server of ours answers to what cannot be read as a request: a status, and no word of its framework or version."""

from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest


class RefusingConnection(RequestHandler):
    """A connection that ends with a status and nothing else where aiohttp would answer in words."""

    __slots__ = ()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Log an error that no route answered, and return its answer; the connection ends with it.

        Raises:
            ConnectionError: An answer was begun already.
        """
        super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return Refusal(HTTPStatus(status))


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


class RefusingRunner(web.AppRunner):
    """An application on connections of one kind.

    Attributes:
        connection: Their class.
    """

    connection: type[RefusingConnection] = RefusingConnection

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(self.connection, made, self._kwargs)


class _Server(web.Server):
    def __init__(self, connection: type[RefusingConnection], made: web.Server, options: dict[str, object]) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory, **options)  # type: ignore[arg-type]
        self._connection = connection

    def __call__(self) -> RequestHandler:
        return self._connection(self, loop=self._loop, **self._kwargs)


async def without_server(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Take the name and version of the server out of an answer; for `on_response_prepare`."""
    response.headers.popall("Server", None)
