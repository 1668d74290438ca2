"""The latency of one model, alone and while another one is sent three times what it can compute."""

import asyncio
import itertools
import statistics
from collections import Counter
from dataclasses import dataclass

from tests.fleet.fleet import ThreeModels

FLOODED, WATCHED = "org/first", "second"
CALL_INPUTS, CALLS, CALL_S = 4, 2, 0.4  # of the flooded model: 20 texts a second
FLOOD_PER_S = 3 * CALL_INPUTS * CALLS / CALL_S
WATCHED_PER_S = 100.0
WARM_S = 2.0

_serials = itertools.count()


@dataclass
class Latencies:
    """Of the watched model's requests, in milliseconds, and what the flooded one's were answered."""

    p50_ms: float
    p99_ms: float
    flood: Counter[int]


async def measure(fleet: ThreeModels, seconds: float, *, is_flooded: bool) -> Latencies:
    """Send to one model, or to both, and return what the one took."""
    statuses: Counter[int] = Counter()
    took_ms: list[float] = []
    loop = asyncio.get_running_loop()

    async def ask(model: str) -> None:
        started_s = loop.time()
        body = {"inputs": f"text {next(_serials)}"}
        async with fleet.http.post(f"{fleet.url}/{model}/embed", json=body) as answer:
            await answer.read()
        if model == FLOODED:
            statuses[answer.status] += 1
        elif started_s > begun_s + WARM_S:
            assert answer.status == 200
            took_ms.append((loop.time() - started_s) * 1000)

    async def stream(model: str, per_s: float, sending: asyncio.TaskGroup) -> None:
        for number in itertools.count():
            await asyncio.sleep(begun_s + number / per_s - loop.time())
            if loop.time() > begun_s + WARM_S + seconds:
                return
            sending.create_task(ask(model))

    begun_s = loop.time()
    async with asyncio.TaskGroup() as sending:
        sending.create_task(stream(WATCHED, WATCHED_PER_S, sending))
        if is_flooded:
            sending.create_task(stream(FLOODED, FLOOD_PER_S, sending))
    cuts = statistics.quantiles(took_ms, n=100)
    return Latencies(cuts[49], cuts[98], statuses)
