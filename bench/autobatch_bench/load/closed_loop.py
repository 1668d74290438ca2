"""A closed loop: a fixed number of connections, each of which sends its next request when it has its answer."""

import asyncio
from contextlib import suppress
from time import perf_counter  # uvloop's own clock has steps of 1 ms

from autobatch_bench.load.connection import LoadConnection, connect
from autobatch_bench.load.outcome import LoadOutcome
from autobatch_bench.load.traffic import ANSWER_MAX_S, Endpoint, Traffic


class _ClosedLoop:
    """The connections of one run."""

    def __init__(self, traffic: Traffic) -> None:
        self.ended = asyncio.Event()
        self.ends_s = float("inf")
        self.open = 0
        self._traffic = traffic

    def answered(self, connection: LoadConnection, status: int, data: bytes, body_at: int) -> None:
        """Count the answer, and send the next request unless the run is over."""
        now_s = perf_counter()
        self._traffic.book(connection, status, data, body_at, now_s)
        if status and now_s < self.ends_s:
            self._traffic.send(connection, now_s)
            return
        connection.close()
        self.open -= 1
        if not self.open:
            self.ended.set()


async def run(target: Endpoint, traffic: Traffic, *, concurrency: int, seconds: float) -> LoadOutcome:
    """Keep `concurrency` requests in flight for `seconds` seconds; return once the last was answered."""
    loop = _ClosedLoop(traffic)
    connections = [await connect(target.host, target.port, loop.answered) for _ in range(concurrency)]
    loop.open = concurrency
    started_s = perf_counter()
    loop.ends_s = started_s + seconds
    for connection in connections:
        traffic.send(connection, perf_counter())
    with suppress(TimeoutError):
        await asyncio.wait_for(loop.ended.wait(), seconds + ANSWER_MAX_S)
    outcome = traffic.finish(perf_counter() - started_s, sum(connection.is_busy for connection in connections))
    for connection in connections:
        connection.close()
    return outcome
