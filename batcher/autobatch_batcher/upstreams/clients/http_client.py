"""One upstream over HTTP: one call, sent again only where the upstream cannot have read it. aiohttp's exceptions end here.

A call goes over the connections of aiohttp's pool, and without its client, which needs 105 us until a lone call is sent. aiohttp makes,
keeps and closes the connections, parses the answers and says what went wrong. Its client also merges headers, joins URLs,
makes a request and a response for each call, and before Python 3.12 a task that writes the body. A batcher sends the same
head each time, but for the length.

More than 250 lines, because a call, its connection and the words for what went wrong on it are aiohttp's, which nothing else here knows.
"""

import asyncio
import errno
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from autobatch_batcher.dialects.base import Answer, Post, Question
from autobatch_batcher.dialects.verdict import retry_after_said
from autobatch_batcher.tuning.said_limits import said_limits
from autobatch_shared.contract.call_headers import MEASURES
from autobatch_shared.contract.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from autobatch_shared.contract.status import NO_ANSWER
from autobatch_shared.settings.files.renewed_files import TlsFiles
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import trust_of

if TYPE_CHECKING:
    from autobatch_batcher.upstreams.clients.upstream_client import UpstreamClient

HEADS_MAX = 64  # routes times content types; clients may send others with what is passed on
SWITCHING_PROTOCOLS = 101
PROBE_TIMEOUT_S = 3.0
CONNECT_MAX_S = 1.0  # an address that has vanished, as of a stopped container, refuses nothing: it says nothing
DNS_TTL_S = 1  # aiohttp's own 10 s are how long a call would still go to the address of the container before
ALPN = ("http/1.1",)  # as aiohttp's own
KEEPALIVE_S = 15  # below what servers usually keep an idle connection
ANSWER_BYTES_MAX = 100_000_000  # the default of ANSWER_LIMIT
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # as `zlib` has it: whichever of the two it is
FALSELY_ENCODED = "The upstream's answer is not encoded as its `Content-Encoding` says"


@dataclass(slots=True)
class CallConnection:
    """The connection of one call, filled in if it is made for it.

    Attributes:
        client: Whose call it is.
        made_s: When its socket was made, in seconds of the loop's clock; -inf for one that was there before.
    """

    client: "UpstreamClient"
    made_s: float = float("-inf")

    @property
    def is_new(self) -> bool:
        """Whether it was made for this call."""
        return self.made_s > float("-inf")


#: The connection of the call that is made in this context; aiohttp's tracing would tell the same for 25 us a call.
_current: ContextVar[CallConnection | None] = ContextVar("_current", default=None)


class TrustingConnector(aiohttp.TCPConnector):
    """Checks each new connection by what the files of authorities have then; aiohttp itself reads this machine's once.

    Args:
        trust: The files.
        options: Those of aiohttp's.
    """

    def __init__(self, trust: TlsFiles, **options: Any) -> None:
        super().__init__(**options)
        self._trust = trust

    def _get_ssl_context(self, req: aiohttp.ClientRequest) -> ssl.SSLContext | None:
        if not req.is_ssl():
            return None
        try:
            return self._trust.context()
        except SettingsError as exc:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, ssl.SSLError(0, str(exc))) from exc


@asynccontextmanager
async def open_sessions(
    ca_file: str | None = None,
) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
    """Open two HTTP sessions and close them in the end: the usual one, and one that makes a new connection for each call.

    Args:
        ca_file: The file of authorities to trust besides this machine's.

    Raises:
        SettingsError: It cannot be used.
    """
    trust = trust_of(ca_file, ALPN)
    if ca_file is not None:
        trust.context()
    options: dict[str, Any] = {"limit": 0, "ttl_dns_cache": DNS_TTL_S, "socket_factory": _new_socket}
    async with (
        _session(TrustingConnector(trust, keepalive_timeout=KEEPALIVE_S, **options)) as usual,
        _session(TrustingConnector(trust, force_close=True, **options)) as fresh,
    ):
        yield usual, fresh


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    # For the answer every call has a timeout of its own.
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_MAX_S),
        cookie_jar=aiohttp.DummyCookieJar(),  # an upstream must not recognise its callers
        auto_decompress=False,  # of a false `Content-Encoding` it makes a connection that ended, or waits for more
    )


def _new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make the socket of a new connection, as without this function, and note for which call."""
    if (connection := _current.get()) is not None:
        connection.made_s = connection.client.connected_s = asyncio.get_running_loop().time()
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)


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


class HttpClient:
    """Sends what a dialect composed; it knows nothing of what that means.

    Attributes:
        connected_s: When the last connection was made, in seconds of the loop's clock: since then another server may answer.

    Args:
        session: The HTTP session that all upstreams of this process share.
        url: The upstream's URL without a trailing slash; its query is sent with everything.
        headers: Are sent with everything.
        fresh: Another one, which reuses no connection; None: no call is sent again.
        answer_bytes_max: The most bytes of an answer's body.
        reads_limits: Whether what it says is left of its limits is read.
    """

    connected_s = float("-inf")

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        headers: Mapping[str, str] | None,
        *,
        fresh: aiohttp.ClientSession | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        reads_limits: bool = False,
    ) -> None:
        self._session = session
        self._fresh = fresh
        base, mark, query = url.partition("?")
        self._base, self._query = base, mark + query
        self._headers = dict(headers or {})
        self._usual_exchanges = HttpExchanges(session, self._url_of, self._headers)
        self._fresh_exchanges = None if fresh is None else HttpExchanges(fresh, self._url_of, self._headers)
        self._answer_bytes_max = answer_bytes_max
        self._reads_limits = reads_limits

    def _url_of(self, path: str) -> str:
        return self._base + path + self._query

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call.

        A kept connection that ends before any byte of the answer is most likely one that the upstream closed, because it
        had been idle, just as the call came. Then the call is sent once more, on a new connection.

        Raises:
            UpstreamUnavailable: It could not be reached, within the session's time for that.
            UpstreamBroken: It hung up on the call.
            UpstreamTimeout: No whole answer within `timeout_s` seconds.
            UpstreamProtocolError: The answer is too large.
        """
        try:
            async with asyncio.timeout(timeout_s):
                connection = CallConnection(self)
                _current.set(connection)
                try:
                    return await self._send(self._usual_exchanges, post, connection)
                except aiohttp.ClientError as exc:
                    if self._fresh_exchanges is None or connection.is_new or not _ended_unanswered(exc):
                        raise
                return await self._send_again(self._fresh_exchanges, post)
        except aiohttp.ConnectionTimeoutError as exc:
            raise _fault(UpstreamUnavailable, exc) from exc
        except TimeoutError as exc:
            raise _fault(UpstreamTimeout, exc) from exc
        except (aiohttp.ClientError, OSError) as exc:
            kind = UpstreamUnavailable if isinstance(exc, aiohttp.ClientConnectorError) else UpstreamBroken
            raise _fault(kind, exc) from exc

    async def _send_again(self, fresh: HttpExchanges, post: Post) -> Answer:
        """Send a call on a new connection, of which the kept one has told nothing.

        Raises:
            UpstreamBroken: It cannot be reached any more: so it was not only a connection that ended.
        """
        try:
            return await self._send(fresh, post, None)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise _fault(UpstreamBroken, exc) from exc

    async def _send(self, exchanges: HttpExchanges, post: Post, connection: CallConnection | None) -> Answer:
        exchange = await exchanges.begin(post)
        if connection is not None and connection.is_new:
            # Its server was reached after its socket was made: not before this moment is it known to be the same.
            self.connected_s = asyncio.get_running_loop().time()
        try:
            came = await self._read(exchange)
        except BaseException:
            exchange.close()
            raise
        exchange.release()
        body = self._decoded(came, exchange.headers)
        said = exchange.headers
        return Answer(
            exchange.status,
            said.get("Content-Type", ""),
            body or b"",
            None if exchange.status == 200 else retry_after_said(said, datetime.now(UTC)),
            {name: value for name in MEASURES if (value := said.get(name)) and value.isascii()},
            was_sent_again=connection is None,
            left=said_limits(said, datetime.now(UTC)) if self._reads_limits else {},
            flaw=FALSELY_ENCODED if body is None else "",
        )

    async def _read(self, exchange: HttpExchange) -> bytes:
        """Read a body up to the limit.

        Raises:
            UpstreamProtocolError: It is longer.
        """
        bytes_max, said = self._answer_bytes_max, exchange.headers
        length = int(said.get("Content-Length", -1))
        if 0 <= length <= bytes_max:
            return await exchange.content.read()
        pieces, got_bytes = [], 0
        if length <= bytes_max:
            async for piece in exchange.content.iter_any():
                pieces.append(piece)
                got_bytes += len(piece)
                if got_bytes > bytes_max:
                    break
            else:
                return b"".join(pieces)
        raise self._too_large()

    def _decoded(self, body: bytes, said: Mapping[str, str]) -> bytes | None:
        """Return a body as it was before its `Content-Encoding`; None: it was not encoded, or not so that we could read it.

        Raises:
            UpstreamProtocolError: It was longer than the limit.
        """
        if not body or said.get("Content-Encoding", "identity") == "identity":
            return body
        reader = zlib.decompressobj(GZIP_OR_ZLIB)
        try:
            plain = reader.decompress(body, self._answer_bytes_max + 1)
        except zlib.error:
            return None
        if len(plain) > self._answer_bytes_max:
            raise self._too_large()
        return plain if reader.eof else None

    def _too_large(self) -> UpstreamProtocolError:
        said = f"The upstream's answer has more than {self._answer_bytes_max} bytes"
        return UpstreamProtocolError(said).because("answer too large")

    async def fetch(self, question: Question, connection: CallConnection | None = None) -> tuple[int, bytes]:
        """Return the status and the body of its answer to a question; whatever goes wrong is aiohttp's to raise.

        A body that is not encoded as its `Content-Encoding` says is as if it were empty. If a connection ends before the answer, it
        is asked once more, on a new one.

        Args:
            question: What is asked.
            connection: Is filled in; None: only `connected_s` is.

        Raises:
            UpstreamProtocolError: The answer is longer than the limit once it is decoded.
        """
        connection = connection or CallConnection(self)
        try:
            return await self._fetch(self._session, question, connection)
        except aiohttp.ClientError as exc:
            if self._fresh is None or not _ended_unanswered(exc):
                raise
        return await self._fetch(self._fresh, question, connection)

    async def _fetch(
        self, session: aiohttp.ClientSession, question: Question, connection: CallConnection
    ) -> tuple[int, bytes]:
        _current.set(connection)
        body, content_type = (question.body, question.content_type) if isinstance(question, Post) else (None, None)
        request = session.request(
            "GET" if body is None else "POST",
            self._url_of(question.path),
            data=body,
            headers=self._headers | {"Content-Type": content_type} if content_type is not None else self._headers,
            allow_redirects=False,  # an upstream must not choose what else we ask inside our network, and publish on its card
        )
        async with request as response:
            return response.status, self._decoded(await response.read(), response.headers) or b""

    async def listens(self, question: Question) -> bool:
        """Whether the upstream answers this question now, in whatever way; one that is only slow does."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                status, _ = await self.fetch(question)
                return status < 500
        except aiohttp.ConnectionTimeoutError:
            return False
        except (TimeoutError, UpstreamProtocolError):
            return True
        except (aiohttp.ClientError, OSError):
            return False


def _lines(headers: Mapping[str, str]) -> bytes:
    return b"".join([f"{name}: {value}\r\n".encode() for name, value in headers.items()])


def cause_of(exc: BaseException) -> str:
    """Return what went wrong on a connection, in words for a log that have nothing of what was sent on it."""
    said = "closed before an answer"
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        said = f"dns: {exc.host}: {exc.os_error.strerror or 'cannot be resolved'}"
    elif isinstance(exc, (aiohttp.ClientSSLError, ssl.SSLError)):
        said = f"tls: {exc.certificate_error if isinstance(exc, aiohttp.ClientConnectorCertificateError) else exc.strerror}"
    elif isinstance(exc, aiohttp.ConnectionTimeoutError):
        said = "ETIMEDOUT"
    elif isinstance(exc, TimeoutError):
        said = NO_ANSWER
    elif isinstance(exc, aiohttp.ClientPayloadError):
        said = "closed in mid-answer"
    elif isinstance(exc, OSError) and exc.errno is not None:
        said = errno.errorcode.get(exc.errno, f"errno {exc.errno}")
    elif isinstance(exc, UpstreamError):
        said = exc.cause or str(exc)
    elif not isinstance(exc, aiohttp.ServerDisconnectedError):
        said = type(exc).__name__
    return said


def _ended_unanswered(exc: aiohttp.ClientError) -> bool:
    """Whether a connection ended before any byte of the answer."""
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return isinstance(exc.message, str)  # else it is the part of the answer's head that came
    return isinstance(exc, aiohttp.ClientOSError) and not isinstance(exc, aiohttp.ClientConnectorError)


def _fault(kind: type[UpstreamError], exc: BaseException) -> UpstreamError:
    return kind().because(cause_of(exc))


def _ends_of(connection: Connection) -> tuple[ResponseHandler, asyncio.Transport]:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        raise aiohttp.ServerDisconnectedError
    return protocol, transport
