"""An open loop: requests are sent at times of their own, whether or not earlier ones were answered.

`load.arrivals` decides when.
"""

import asyncio
from contextlib import suppress
from time import perf_counter  # uvloop's own clock has steps of 1 ms

from autobatch_bench.load.arrivals import Arrivals, poisson
from autobatch_bench.load.connection import LoadConnection, connect
from autobatch_bench.load.outcome import NO_ANSWER, LoadOutcome
from autobatch_bench.load.traffic import ANSWER_MAX_S, Endpoint, Traffic

CONNECTIONS_MAX = 1024  # the bound of a client's pool; waiting for a connection counts as latency


class _OpenLoop:
    """The connections of one run, opened as they are needed."""

    def __init__(self, target: Endpoint, traffic: Traffic, arrivals: Arrivals, connections_max: int) -> None:
        self.ended = asyncio.Event()
        self._target = target
        self._traffic = traffic
        self._arrivals = arrivals
        self._connections_max = connections_max
        self._connections = 0  # open, or being opened
        self._free: list[LoadConnection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._zero_s = perf_counter()

    def tick(self) -> None:
        """Start the requests that are due, and schedule the next."""
        self._arrivals.let_in(perf_counter() - self._zero_s)
        self._serve()
        if self._arrivals.next_s is not None:
            self._loop.call_later(self._zero_s + self._arrivals.next_s - perf_counter(), self.tick)

    def answered(self, connection: LoadConnection, status: int, data: bytes, body_at: int) -> None:
        """Count the answer; the connection is free again, or lost."""
        self._traffic.book(connection, status, data, body_at, perf_counter())
        if status == NO_ANSWER:
            self._connections -= 1
        else:
            self._free.append(connection)
        self._serve()

    def abandon(self) -> int:
        """Close everything; return how many requests had no answer."""
        busy = self._connections - len(self._free)
        for connection in self._free:
            connection.close()
        return busy + len(self._arrivals.waiting)

    def _serve(self) -> None:
        arrivals = self._arrivals
        while self._free and arrivals.waiting:
            connection = self._free.pop()
            if not connection.is_open:  # a server closes idle connections: not a failure
                self._connections -= 1
            elif (start_s := arrivals.take()) is not None:
                self._traffic.send(connection, self._zero_s + start_s)
        for _ in range(min(len(arrivals.waiting) - len(self._tasks), self._connections_max - self._connections)):
            self._connections += 1
            task = self._loop.create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if arrivals.next_s is None and not arrivals.waiting and len(self._free) == self._connections:
            self.ended.set()

    async def _open(self) -> None:
        try:
            self._free.append(await connect(self._target.host, self._target.port, self.answered))
        except OSError:
            self._connections -= 1
            if self._arrivals.take() is not None:
                self._traffic.outcome.failed[NO_ANSWER] += 1
        self._serve()


async def run(
    target: Endpoint,
    traffic: Traffic,
    *,
    per_second: float,
    seconds: float,
    connections_max: int = CONNECTIONS_MAX,
    seed: int = 1,
) -> LoadOutcome:
    """Send `per_second` requests a second for `seconds` seconds; return once the last was answered."""
    arrivals = Arrivals(poisson(per_second, seconds, seed))
    loop = _OpenLoop(target, traffic, arrivals, connections_max)
    started_s = perf_counter()
    loop.tick()
    with suppress(TimeoutError):
        await asyncio.wait_for(loop.ended.wait(), seconds + ANSWER_MAX_S)
    outcome = traffic.finish(perf_counter() - started_s, loop.abandon())
    outcome.late = arrivals.late
    return outcome
