"""A good answer to one job, written in one piece.

aiohttp's own response builds a header table, signals and a stream writer for what is always the same: 38 us of CPU a
request against 26 for this one (`POST /embed` with 4.4 kB back, nothing else done). Only for status 200 and headers of
our own making; everything else goes through `web.Response`, which checks what it writes.
"""

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_request import BaseRequest

DRAIN_ABOVE_BYTES = 65_536  # uvloop's own high-water mark


class WholeResponse(web.StreamResponse):
    """Status 200, JSON.

    Args:
        headers: Further lines, each ended by CRLF.
        body: JSON.
    """

    def __init__(self, headers: bytes, body: bytes) -> None:
        super().__init__()
        self._lines = headers
        self._json = body
        self._stays: bool | None = None

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open, once it is known."""
        return self._stays

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write everything."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._stays = request.keep_alive and self._keep_alive is not False
        body = self._json
        transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nDate: %b\r\n%b%b\r\n%b"
            % (len(body), rfc822_formatted_time().encode(), self._lines, self._connection(request), body)
        )
        if len(body) > DRAIN_ABOVE_BYTES:
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""

    def _connection(self, request: BaseRequest) -> bytes:
        if not self._stays:
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if request.version < (1, 1) else b""
