"""Steady load on nginx: an open loop of single texts, all different, with every answer judged by itself."""

import asyncio
import itertools
import re

from autobatch_bench.load.connection import LoadConnection, connect
from tests.faults.outcome import MODEL, AnswerKind, SentRequest, judge
from tests.support.waiting import wait_until

IDLE_MAX_S = 2.0  # as in clients: a connection that the server may be about to close is not reused
SPARE_S = 1.0  # after its deadline a request counts as hung
_serials = itertools.count()
_model_in = re.compile(rb"\r\nX-Model: ([^\r]*)\r\n").search


class SteadyLoad:
    """Sends until it is stopped.

    Args:
        port: Of nginx.
        per_second: Requests.
        deadline_s: The workers' deadline of a request.
        cuts: Whether the fault explains the end of a connection.
        headers: Further lines of each request's head, each ended by CRLF.
    """

    def __init__(
        self, port: int, per_second: float, deadline_s: float, *, cuts: bool = False, headers: bytes = b""
    ) -> None:
        self._headers = headers
        self.requests: list[SentRequest] = []
        self._port = port
        self._step_s = 1 / per_second
        self._patience_s = deadline_s + SPARE_S
        self._none = AnswerKind.CUT if cuts else AnswerKind.LOST
        self._loop = asyncio.get_running_loop()
        self._next_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._free: list[tuple[LoadConnection, float]] = []
        self._under_way: dict[LoadConnection, tuple[SentRequest, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin."""
        self._next_s = self._loop.time()
        self._tick()

    async def stop(self) -> None:
        """Send no more, and wait until every request has ended."""
        if self._timer is not None:
            self._timer.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await wait_until(lambda: not self._under_way, 2 * self._patience_s)  # each has its timer
        for connection, _ in self._free:
            connection.close()

    def failures_since(self, start_s: float) -> int:
        """Requests sent since then that did not get their vector."""
        late = itertools.takewhile(lambda request: request.start_s >= start_s, reversed(self.requests))
        return sum(request.kind not in (None, AnswerKind.RIGHT) for request in late)

    def _tick(self) -> None:
        while self._next_s <= self._loop.time():
            self._next_s += self._step_s
            self.send(f"a text like no other, number {next(_serials)}")
        self._timer = self._loop.call_at(self._next_s, self._tick)

    def send(self, text: str) -> SentRequest:
        """Send one request now."""
        request = SentRequest(text, self._loop.time())
        self.requests.append(request)
        while self._free:
            connection, since_s = self._free.pop()
            if connection.is_open and self._loop.time() - since_s < IDLE_MAX_S:
                self._send(connection, request)
                return request
            connection.close()
        task = self._loop.create_task(self._open(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return request

    async def _open(self, request: SentRequest) -> None:
        try:
            connection = await asyncio.wait_for(connect("127.0.0.1", self._port, self._answered), self._patience_s)
        except OSError:  # and TimeoutError, which is one
            self._end(request, self._none)
        else:
            self._send(connection, request)

    def _send(self, connection: LoadConnection, request: SentRequest) -> None:
        timer = self._loop.call_at(request.start_s + self._patience_s, self._give_up, connection)
        self._under_way[connection] = request, timer
        body = b'{"inputs":"%b"}' % request.text.encode()
        head = b"POST /embed HTTP/1.1\r\nHost: faults\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
        connection.send(head % (len(body), self._headers) + body, 0, request.start_s)

    def _answered(self, connection: LoadConnection, status: int, data: bytes, body_at: int) -> None:
        request, timer = self._under_way.pop(connection)
        timer.cancel()
        request.status = status
        named = _model_in(data[:body_at])
        request.model = named[1].decode() if named else ""
        kind = judge(request.text, status, data[body_at:], request.model or MODEL)
        self._end(request, self._none if kind is AnswerKind.LOST else kind)
        if b"\r\nConnection: close\r\n" in data[:body_at]:
            connection.close()  # the server is about to: a request on it would be lost
        elif connection.is_open:
            self._free.append((connection, self._loop.time()))

    def _give_up(self, connection: LoadConnection) -> None:
        request, _ = self._under_way.pop(connection)
        connection.close()
        self._end(request, AnswerKind.HUNG)

    def _end(self, request: SentRequest, kind: AnswerKind) -> None:
        request.end_s = self._loop.time()
        request.kind = kind
