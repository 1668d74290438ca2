"""Many requests at the same moment, each on an open connection, until all are answered."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter  # uvloop's own clock has steps of 1 ms

from autobatch_bench.load.connection import LoadConnection, connect
from autobatch_bench.load.outcome import LoadOutcome
from autobatch_bench.load.traffic import ANSWER_MAX_S, Endpoint, Traffic

CONNECTING_AT_ONCE = 256  # within any server's backlog


async def run(
    target: Endpoint, traffic: Traffic, *, requests: int, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> LoadOutcome:
    """Send all, and return once all were answered.

    Args:
        target: Where they are sent.
        traffic: What is sent.
        requests: How many are sent.
        meanwhile: Awaited once all are sent, while they wait for their answers.
    """
    ended = asyncio.Event()
    left = requests

    def answered(connection: LoadConnection, status: int, data: bytes, body_at: int) -> None:
        nonlocal left
        traffic.book(connection, status, data, body_at, perf_counter())
        left -= 1
        if not left:
            ended.set()

    connections: list[LoadConnection] = []
    while len(connections) < requests:
        more = min(CONNECTING_AT_ONCE, requests - len(connections))
        connections += await asyncio.gather(*(connect(target.host, target.port, answered) for _ in range(more)))
    started_s = perf_counter()
    for connection in connections:
        traffic.send(connection, started_s)
    if meanwhile is not None:
        await meanwhile()
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), ANSWER_MAX_S)
    outcome = traffic.finish(perf_counter() - started_s, left)
    for connection in connections:
        connection.close()
    return outcome
