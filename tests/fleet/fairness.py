"""The latency of one model, alone and while another one is sent three times what it can compute."""

import asyncio
import itertools
import statistics
from collections import Counter
from dataclasses import dataclass, field

from tests.fleet.fleet import ThreeModels

FLOODED, WATCHED = "org/first", "second"
CALL_INPUTS, CALLS, CALL_S = 4, 2, 0.4  # of the flooded model: 20 texts a second
FLOOD_PER_S = 3 * CALL_INPUTS * CALLS / CALL_S
WATCHED_PER_S = 100.0
WARM_S = 2.0

_serials = itertools.count()


@dataclass
class Latencies:
    """Of the watched model's requests, in milliseconds, and how many of the flooded one's got each status."""

    took_ms: list[float] = field(default_factory=list)
    flood: Counter[int] = field(default_factory=Counter)

    def __add__(self, more: "Latencies") -> "Latencies":
        return Latencies(self.took_ms + more.took_ms, self.flood + more.flood)

    def __str__(self) -> str:
        flood = f", the flood got {dict(self.flood)}" if self.flood else ""
        return f"p50 {self.percentile_ms(50):.1f} ms, p99 {self.percentile_ms(99):.1f} ms{flood}"

    def percentile_ms(self, percent: int) -> float:
        """Return what so many percent of the requests took at most."""
        return statistics.quantiles(self.took_ms, n=100)[percent - 1]


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
    return Latencies(took_ms, statuses)
