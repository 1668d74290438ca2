"""One client connection: it sends a request and reports its answer.

A bare protocol, because the load generator runs on the same cores as the system that it measures: 15 us per request,
where an HTTP client library takes 150. It reads only what the servers under test send: HTTP/1.1 answers with a
Content-Length.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

from autobatch_bench.load.outcome import NO_ANSWER

#: Called with the status, the bytes of the answer, and the index at which the body begins.
Answered = Callable[["LoadConnection", int, bytes, int], None]

_BLANK = b"\r\n\r\n"
#: As aiohttp and nginx write it; hyper writes it in lower case. Triton has it at the end of another name, too.
_LENGTH = b"\r\nContent-Length: "


class LoadConnection(asyncio.Protocol):
    """Carries one request at a time.

    Attributes:
        serial: Of the request in flight.
        started_s: When its latency began, on the loop's clock.
        is_busy: Whether a request is in flight.
    """

    def __init__(self, answered: Answered) -> None:
        self.serial = -1
        self.started_s = 0.0
        self.is_busy = False
        self._answered = answered
        self._buffer = bytearray()
        self._needed = 0  # bytes of the whole answer, once its head has come
        self._body_at = 0
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, serial: int, started_s: float) -> None:
        """Send; `answered` is called once for it, whatever happens."""
        self.serial, self.started_s, self.is_busy = serial, started_s, True
        if self._transport is not None and self.is_open:
            self._transport.write(request)
        else:
            self._end(NO_ANSWER, b"", 0)

    def close(self) -> None:
        """Close; a request in flight gets no answer."""
        self.is_busy = False
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and end the request when its answer is whole."""
        if self._needed or self._buffer:  # rare: most answers arrive in one piece
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
        if not self._needed:
            self._body_at, self._needed = _extent(data)
        if not self._needed or len(data) < self._needed:
            if not self._buffer:
                self._buffer += data
            return
        if len(data) > self._needed:  # the length is wrong or missing
            data = data[: self._needed]
        self._needed = 0
        self._buffer.clear()
        self._end(int(data[9:12]), data, self._body_at)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End the request in flight without an answer."""
        self._transport = None
        if self.is_busy:
            self._end(NO_ANSWER, b"", 0)

    def _end(self, status: int, data: bytes, body_at: int) -> None:
        self.is_busy = False
        self._answered(self, status, data, body_at)


def _extent(data: bytes) -> tuple[int, int]:
    """Return where the body begins and where the answer ends; zeros until the head is complete."""
    blank = data.find(_BLANK)
    if blank < 0:
        return 0, 0
    at = data.find(_LENGTH, 0, blank)
    if at < 0:
        at = data[:blank].lower().find(_LENGTH.lower())
    if at < 0:
        return blank + 4, blank + 4  # without a length there is no body, and the checks fail
    begins = at + len(_LENGTH)
    return blank + 4, blank + 4 + int(data[begins : data.index(b"\r\n", begins)])


async def connect(host: str, port: int, answered: Answered) -> LoadConnection:
    """Open a connection.

    Raises:
        OSError: There is no listener, or the limit of open files is reached.
    """
    connection = LoadConnection(answered)
    await asyncio.get_running_loop().create_connection(partial(_same, connection), host, port)
    return connection


def _same(connection: LoadConnection) -> LoadConnection:
    return connection
