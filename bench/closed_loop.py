"""A closed loop: so many connections, each sending its next request when its answer is in. Every answer is checked.

A bare protocol, because the load tool runs on the same cores as what it measures: 15 us a request where an HTTP
client library takes 150.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

from bench.oracle import answer

ANSWER_MAX_S = 30.0
TEXTS = 4


@dataclass
class Outcome:
    """What one run saw.

    Attributes:
        seconds: How long it ran.
        latencies_s: Of the right answers.
        wrong: Answers that were not the sender's own.
        failed: Answers with another status than 200, and connections lost.
    """

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    wrong: int = 0
    failed: int = 0

    @property
    def per_second(self) -> float:
        """Right answers a second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """The latency that so large a share of the right answers did not exceed."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")


class _Client(asyncio.Protocol):
    """One connection of the loop."""

    def __init__(self, name: str, path: str, outcome: Outcome, is_over: Callable[[], bool]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Texts are few for each client and shared by no two, and made before the clock starts: the load tool takes
        # CPU from what it measures.
        self._exchanges = cycle([_exchange(path, f"text {number} of client {name}") for number in range(TEXTS)])
        self._expected = b""
        self._outcome = outcome
        self._is_over = is_over
        self._started_s = 0.0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_whole():
            return
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._outcome.failed += 1
        elif not self._buffer.endswith(self._expected):
            self._outcome.wrong += 1
        else:
            self._outcome.latencies_s.append(time.perf_counter() - self._started_s)
        self._buffer = b""
        if self._is_over():
            self.close()
        else:
            self._send()

    def _is_whole(self) -> bool:
        """Whether the answer is all there; the right one is seen by its end, any other by its length."""
        if self._buffer.endswith(self._expected):
            return True
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        return bool(blank) and len(body) >= int(length or 0)

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.ended.done():
            self._outcome.failed += 1
            self.ended.set_result(None)

    def close(self) -> None:
        """End this client."""
        if not self.ended.done():
            self.ended.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        request, self._expected = next(self._exchanges)
        self._started_s = time.perf_counter()
        if self._transport is not None:
            self._transport.write(request)


def _exchange(path: str, text: str) -> tuple[bytes, bytes]:
    """Return a request as it goes over the wire, and the body of its right answer."""
    body = f'{{"inputs":"{text}"}}'
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode(), b"\r\n\r\n" + answer([text])


def _same(client: _Client) -> _Client:
    return client


async def run(host: str, port: int, *, concurrency: int, seconds: float, path: str = "/embed") -> Outcome:
    """Keep `concurrency` requests in flight for `seconds` seconds."""
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    ends_s = float("inf")

    def is_over() -> bool:
        return loop.time() > ends_s

    clients = [_Client(str(number), path, outcome, is_over) for number in range(concurrency)]
    started_s = loop.time()
    ends_s = started_s + seconds
    for client in clients:
        await loop.create_connection(partial(_same, client), host, port)
    _, hung = await asyncio.wait([client.ended for client in clients], timeout=seconds + ANSWER_MAX_S)
    outcome.failed += len(hung)
    outcome.seconds = loop.time() - started_s
    for client in clients:
        client.close()
    return outcome
