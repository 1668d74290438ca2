"""Calls over aiohttp's connections, without its client, which needs 105 us until a lone call is sent.

aiohttp makes, keeps and closes the connections, parses the answers and says what went wrong. Its client also merges headers, joins URLs,
makes a request and a response for each call, and before Python 3.12 a task that writes the body. A batcher sends the same
head each time, but for the length.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from autobatch_batcher.dialects.base import Post

HEADS_MAX = 64  # routes times content types; clients may send others with what is passed on
SWITCHING_PROTOCOLS = 101


class _Head(NamedTuple):
    """What all calls of a route and a content type have in common.

    Attributes:
        request: Names the server to the pool.
        head: The head up to the value of its last line, `Content-Length`.
    """

    request: aiohttp.ClientRequest
    head: bytes


class HttpExchange:
    """An answer that has begun to come. Either `release` or `close` ends it.

    Attributes:
        status: The answer's status.
        headers: Its headers.
        content: Its body, as it comes.
    """

    __slots__ = ("_connection", "_message", "content")

    def __init__(self, connection: Connection, message: RawResponseMessage, content: StreamReader) -> None:
        self._connection = connection
        self._message = message
        self.content = content

    @property
    def status(self) -> int:
        """The status."""
        return self._message.code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; their names in any case."""
        return self._message.headers

    def release(self) -> None:
        """Keep the connection: all of the body was read."""
        if self._message.code == SWITCHING_PROTOCOLS:
            self._connection.close()
        else:
            self._connection.release()

    def close(self) -> None:
        """End the connection: what is still to come is not read."""
        self._connection.close()


class HttpExchanges:
    """Sends POSTs to one server.

    Args:
        session: Its connections are used.
        url_of: Returns the URL of a path.
        headers: Headers of every call.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url_of: Callable[[str], str], headers: Mapping[str, str]
    ) -> None:
        self._session = session
        self._url_of = url_of
        self._headers = headers
        self._heads: dict[tuple[str, str | None], _Head] = {}

    async def begin(self, post: Post) -> HttpExchange:
        """Send a call; return when the head of its answer has come. A failure is aiohttp's to raise, as by its client."""
        head = self._heads.get((post.path, post.content_type)) or self._make_head(post.path, post.content_type)
        connection = await self._connect(head.request)
        try:
            protocol, transport = _ends_of(connection)
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            more = _lines(post.trace) if post.trace else b""
            transport.write(b"%b%d\r\n%b\r\n%b" % (head.head, len(post.body), more, post.body))
            while True:
                message, content = await protocol.read()
                if message.code >= 200 or message.code == SWITCHING_PROTOCOLS:
                    return HttpExchange(connection, message, content)
        except HttpProcessingError as exc:
            connection.close()
            info = head.request.request_info
            raise aiohttp.ClientResponseError(info, (), status=exc.code, message=exc.message) from exc
        except BaseException:
            connection.close()
            raise

    async def _connect(self, request: aiohttp.ClientRequest) -> Connection:
        """Return a kept connection or a new one."""
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("The session is closed")
        try:
            return await connector.connect(request, traces=[], timeout=self._session.timeout)
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to {request.url.host}") from exc
        except aiohttp.ClientError:
            raise
        except OSError as exc:
            raise aiohttp.ClientOSError(*exc.args) from exc

    def _make_head(self, path: str, content_type: str | None) -> _Head:
        """Let aiohttp make the head of a call, and write it down.

        Raises:
            ValueError: The content type has an end of a line in it.
        """
        own = {} if content_type is None else {"Content-Type": content_type}
        request = aiohttp.ClientRequest(
            "POST",
            URL(self._url_of(path)),
            headers={**self._headers, **own},
            skip_auto_headers=("Accept-Encoding", "Content-Type"),
            loop=asyncio.get_running_loop(),
        )
        ends = (
            {}
            if self._session.connector is None or not self._session.connector.force_close
            else {"Connection": "close"}
        )
        lines = [f"POST {request.url.raw_path_qs} HTTP/1.1"]
        for name, value in (*request.headers.items(), *ends.items()):
            if not {"\r", "\n", "\0"}.isdisjoint(value):
                raise ValueError(name)
            if name != "Content-Length":
                lines.append(f"{name}: {value}")
        made = _Head(request, "\r\n".join([*lines, "Content-Length: "]).encode())
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        self._heads[path, content_type] = made
        return made


def _lines(headers: Mapping[str, str]) -> bytes:
    return b"".join([f"{name}: {value}\r\n".encode() for name, value in headers.items()])


def _ends_of(connection: Connection) -> tuple[ResponseHandler, asyncio.Transport]:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        raise aiohttp.ServerDisconnectedError
    return protocol, transport
