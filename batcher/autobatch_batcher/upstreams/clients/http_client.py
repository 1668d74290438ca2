"""One upstream over HTTP: one call, sent again only where the upstream cannot have read it. aiohttp's exceptions end here.

More than 250 lines, because a call, the reading of its answer and the words for what went wrong belong together.
"""

import asyncio
import errno
import ssl
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp

from autobatch_batcher.dialects.base import Answer, Post, Question
from autobatch_batcher.dialects.verdict import retry_after_said
from autobatch_batcher.tuning.said_limits import said_limits
from autobatch_batcher.upstreams.clients.http_connections import current_connection
from autobatch_batcher.upstreams.clients.http_exchanges import HttpExchange, HttpExchanges
from autobatch_batcher.upstreams.clients.upstream_client import ANSWER_BYTES_MAX, PROBE_TIMEOUT_S, CallConnection
from autobatch_shared.contract.call_headers import MEASURES
from autobatch_shared.contract.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from autobatch_shared.contract.status import NO_ANSWER

GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # as `zlib` has it: whichever of the two it is
FALSELY_ENCODED = "The upstream's answer is not encoded as its `Content-Encoding` says"


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
                current_connection.set(connection)
                try:
                    return await self._send(self._usual_exchanges, post, connection)
                except aiohttp.ClientError as exc:
                    if self._fresh_exchanges is None or _is_new(connection) or not _ended_unanswered(exc):
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
        if connection is not None and _is_new(connection):
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
        current_connection.set(connection)
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


def _is_new(connection: CallConnection) -> bool:
    """Whether it was made for its call."""
    return connection.made_s > float("-inf")


def _ended_unanswered(exc: aiohttp.ClientError) -> bool:
    """Whether a connection ended before any byte of the answer."""
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return isinstance(exc.message, str)  # else it is the part of the answer's head that came
    return isinstance(exc, aiohttp.ClientOSError) and not isinstance(exc, aiohttp.ClientConnectorError)


def _fault(kind: type[UpstreamError], exc: BaseException) -> UpstreamError:
    return kind().because(cause_of(exc))
