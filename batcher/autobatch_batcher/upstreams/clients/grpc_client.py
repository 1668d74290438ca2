"""One upstream over gRPC: a dialect's bytes in one unary call, and its status as the HTTP status that means the same. Needs grpcio.

gRPC says UNAVAILABLE where the server does, where its connection ended during the call, and where there was none. Its details tell
these apart; where they are in no words that are known here, the connection does: after the server's own word it is there as it was before.
"""

import asyncio
import errno
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import grpc
import grpc.aio

from autobatch_batcher.dialects.base import Answer, Get, Post, Question
from autobatch_batcher.upstreams.clients.upstream_client import ANSWER_BYTES_MAX, PROBE_TIMEOUT_S, CallConnection
from autobatch_shared.contract.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from autobatch_shared.contract.status import CALL_MAX_S, NO_ANSWER
from autobatch_shared.settings.choices import grpc_target
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import own_authorities, trust_of

Code = grpc.StatusCode
Connectivity = grpc.ChannelConnectivity

#: The HTTP status of each of gRPC's: as in the documents of Google's APIs.
STATUSES = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 503,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
TEXT = "text/plain"
UNTRUSTING = "tls: "  # before why the file of authorities cannot be used
RECONNECT_MIN_MS, RECONNECT_MAX_MS = 100, 1_000  # as often as `lookout` asks; gRPC's own waits grow to two minutes
CONNECT_MAX_MS = 1_000  # an address that has vanished refuses nothing: it says nothing
#: How the details of a call begin that had no connection, and of one that lost its own: as grpcio 1.80 and 1.85 say it.
NEVER_CONNECTED = ("failed to connect to all addresses", "errors resolving")
CONNECTION_LOST = ("Socket closed", "recvmsg:", "sendmsg:", "GOAWAY received")


class GrpcClient:
    """Sends what a dialect composed; it knows nothing of what that means. An async context, which closes its connection.

    Attributes:
        connected_s: When the last connection was made, in seconds of the loop's clock: since then another server may answer.

    Args:
        url: `grpc://host:port`, or `grpcs://` with TLS.
        headers: Are sent with every call, as metadata.
        ca_file: The certificates of whom to trust with `grpcs://` besides this machine's authorities. A new connection is made by what it
            has then; where there are neither, gRPC brings some.
        answer_bytes_max: The most bytes of an answer.
    """

    connected_s = float("-inf")

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        ca_file: str | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        self._url = url
        self._metadata = tuple((name.lower(), value) for name, value in headers.items())
        self._is_tls = urlsplit(url).scheme == "grpcs"
        self._ca_file = ca_file if self._is_tls else None
        self._trust = trust_of(self._ca_file)
        self._trusted: ssl.SSLContext | None = None  # when the channel was opened
        self._answer_bytes_max = answer_bytes_max
        self._channel: grpc.aio.Channel
        self._watching: asyncio.Task[None]
        self._closing: dict[grpc.aio.Channel, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._trusted = self._trust.context() if self._is_tls else None
        self._open(self._authorities())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        channels, tasks = [self._channel, *self._closing], [self._watching, *self._closing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()

    def _authorities(self) -> bytes | None:
        if not self._is_tls:
            return None
        further = Path(self._ca_file).read_bytes() if self._ca_file else b""
        return b"\n".join(filter(None, (further, own_authorities()))) or None  # gRPC reads as far as a damaged one

    def _open(self, authorities: bytes | None) -> None:
        target = grpc_target(self._url)
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", self._answer_bytes_max),
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", RECONNECT_MIN_MS),
            ("grpc.min_reconnect_backoff_ms", CONNECT_MAX_MS),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
            ("grpc.use_local_subchannel_pool", 1),  # a connection of its own, of which it knows when it was made
        ]
        if self._is_tls:
            self._channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(authorities), options)
        else:
            self._channel = grpc.aio.insecure_channel(target, options)
        self._watching = asyncio.create_task(self._watch(self._channel), name="grpc-connection")

    def _renew(self) -> None:
        """Open another channel where there is no connection, and other authorities than when this one was opened: it keeps those.

        Raises:
            UpstreamUnavailable: The file of authorities cannot be used now.
        """
        if not self._is_tls or self._is_connected:
            return
        try:
            trusted = self._trust.context()
            if trusted is self._trusted:
                return
            authorities = self._authorities()
        except (SettingsError, OSError) as exc:
            raise UpstreamUnavailable().because(f"{UNTRUSTING}{exc}") from exc
        self._leave()
        self._open(authorities)
        self._trusted = trusted

    def _leave(self) -> None:
        """Close the channel once its calls have ended."""
        self._watching.cancel()
        left = self._channel
        self._closing[left] = closing = asyncio.create_task(left.close(CALL_MAX_S), name="grpc-close")
        closing.add_done_callback(lambda _: self._closing.pop(left, None))

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        """Note when the connection is made anew."""
        state = channel.get_state()
        while state is not Connectivity.SHUTDOWN:
            await channel.wait_for_state_change(state)
            state = channel.get_state()
            if state is Connectivity.READY:
                self.connected_s = asyncio.get_running_loop().time()

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call; one that is cancelled here is cancelled there.

        Raises:
            UpstreamUnavailable: It could not be reached.
            UpstreamBroken: It hung up on the call.
            UpstreamTimeout: No whole answer within `timeout_s` seconds.
            UpstreamProtocolError: The answer is too large.
        """
        self._renew()
        had_connection, began_s = self._is_connected, asyncio.get_running_loop().time()
        call = self._channel.unary_unary(post.path)
        try:
            body = await call(post.body, timeout=timeout_s, metadata=(*self._metadata, *post.trace.items()))
        except grpc.aio.AioRpcError as exc:
            is_new = self.connected_s >= began_s
            error = self._error(
                exc,
                was_connected=had_connection or is_new,
                is_connected=self._is_connected and not (had_connection and is_new),
            )
            if error is not None:
                try:
                    raise error from exc
                finally:
                    del error  # it holds this frame now, and with it the call, until garbage is collected
            return Answer(STATUSES.get(exc.code(), 500), TEXT, (exc.details() or "").encode(), None)
        return Answer(200, "", body, None)

    async def fetch(self, question: Question, connection: CallConnection | None = None) -> tuple[int, bytes]:
        """Return the status and the body of its answer to a question.

        Args:
            question: A call; nothing can be got without one.
            connection: Is filled in; None: only `connected_s` is.

        Raises:
            TimeoutError: No answer in time.
            OSError: It cannot be reached, or hung up.
        """
        if isinstance(question, Get):
            return 404, b""
        before_s = self.connected_s
        try:
            answer = await self.send(question, PROBE_TIMEOUT_S)
        except UpstreamTimeout as exc:
            raise TimeoutError from exc
        except UpstreamUnavailable as exc:
            if exc.cause.startswith(UNTRUSTING):
                raise ssl.SSLError(0, exc.cause.removeprefix(UNTRUSTING)) from exc
            raise OSError(
                errno.ECONNRESET if isinstance(exc, UpstreamBroken) else errno.ECONNREFUSED, exc.cause
            ) from exc
        if connection is not None and self.connected_s > before_s:
            connection.made_s = self.connected_s
        return answer.status, answer.body

    async def listens(self, question: Question) -> bool:
        """Whether the upstream answers this question now, in whatever way; one that is only slow does."""
        try:
            status, _ = await self.fetch(question)
        except TimeoutError:
            return True
        except OSError:
            return False
        return status < 500

    @property
    def _is_connected(self) -> bool:
        return self._channel.get_state() is Connectivity.READY

    def _error(self, exc: grpc.aio.AioRpcError, *, was_connected: bool, is_connected: bool) -> UpstreamError | None:
        """The error of a call that the server has not answered; None: it has.

        Args:
            exc: What gRPC says.
            was_connected: Whether there was a connection for the call.
            is_connected: Whether it is still there.
        """
        code = exc.code()
        if code is Code.DEADLINE_EXCEEDED:
            return UpstreamTimeout().because(NO_ANSWER)
        if code is Code.RESOURCE_EXHAUSTED and "message larger than max" in (exc.details() or ""):
            said = f"The upstream's answer has more than {self._answer_bytes_max} bytes"
            return UpstreamProtocolError(said).because("answer too large")
        if code is Code.UNAVAILABLE:
            return error_of_unavailable(
                exc.details() or "unavailable", was_connected=was_connected, is_connected=is_connected
            )
        return None


def error_of_unavailable(details: str, *, was_connected: bool, is_connected: bool) -> UpstreamUnavailable | None:
    """What UNAVAILABLE means; None: the server said it itself.

    The details decide first: a connection may have come and gone before it was seen.

    Args:
        details: gRPC's words, or the server's.
        was_connected: Whether a connection was seen for the call.
        is_connected: Whether it is seen still.
    """
    said = details.removeprefix("Stream removed (")  # grpcio 1.85 puts this around its reason
    had_connection = said.startswith(CONNECTION_LOST)
    if details.startswith(NEVER_CONNECTED) or not (had_connection or was_connected):
        # gRPC's own words, which have an address and nothing that was sent.
        return UpstreamUnavailable().because(details.rpartition("last error: ")[2][:200])
    if had_connection or not is_connected:
        return UpstreamBroken().because("closed before an answer")
    return None
