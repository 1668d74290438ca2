"""`python -m tests.faults.overload`: three times the upstream's capacity for a minute.

The same processes as in the campaign; the upstream handles one call at a time, 10 ms and 2 ms per text. Requests have
deadlines of 1.5 s. Prints the results next to the requirements; exit status 1 if one was missed.
"""

import asyncio
import statistics
import sys
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.faults.load import SteadyLoad
from tests.faults.outcome import AnswerKind, SentRequest
from tests.faults.world import World, open_world

PROBING_S, OVERLOAD_S, AFTER_S = 8.0, 60.0, 6.0
TIMES = 3.0
MORE_THAN_CAPACITY, LITTLE = 700.0, 50.0  # requests a second
DEADLINE_MS = 1500
HEADERS = b"x-request-timeout-ms: %d\r\n" % DEADLINE_MS
SETTLED_S = 2.0  # after the load has dropped


@dataclass(frozen=True)
class OverloadRow:
    """One line of the table."""

    what: str
    seen: str
    demanded: str
    is_good: bool


async def offered(world: World, per_second: float, seconds: float, headers: bytes = b"") -> list[SentRequest]:
    """Offer load for a while, and return every request once it has ended."""
    load = SteadyLoad(world.nginx_port, per_second, DEADLINE_MS / 1000 if headers else 5.0, headers=headers)
    load.start()
    await asyncio.sleep(seconds)
    await load.stop()
    return load.requests


async def measure(world: World) -> list[OverloadRow]:
    """Measure the upstream's capacity, offer three times as much, then little."""
    await world.behave("narrow")
    normal = latencies_ms(await offered(world, LITTLE, 3.0, HEADERS))
    probed = await offered(world, MORE_THAN_CAPACITY, PROBING_S)
    begun_s = probed[0].start_s
    capacity = rate(probed, begun_s + PROBING_S / 2, begun_s + PROBING_S)
    sampling = asyncio.create_task(retry_afters(world, OVERLOAD_S))
    over = await overlapping(world, TIMES * capacity)
    return findings(normal, capacity, *over, await sampling)


async def overlapping(world: World, per_second: float) -> tuple[list[SentRequest], list[SentRequest]]:
    """Overload, then a low load at once, while the accepted requests are still being answered."""
    over = asyncio.create_task(offered(world, per_second, OVERLOAD_S, HEADERS))
    await asyncio.sleep(OVERLOAD_S)
    return await over, await offered(world, LITTLE, AFTER_S, HEADERS)


async def retry_afters(world: World, seconds: float) -> list[int]:
    """Send a request now and then, and return the `Retry-After` of the refusals."""
    said = []
    for _ in range(int(seconds / 0.5)):
        await asyncio.sleep(0.5)
        body, headers = {"inputs": "when may I come back?"}, {"x-request-timeout-ms": str(DEADLINE_MS)}
        async with world.http.post(f"http://127.0.0.1:{world.nginx_port}/embed", json=body, headers=headers) as answer:
            if answer.status == 429:
                said.append(int(answer.headers["Retry-After"]))
    return said


def findings(
    normal: list[float], capacity: float, over: list[SentRequest], after: list[SentRequest], said: list[int]
) -> list[OverloadRow]:
    """Compare the results with the requirements."""
    start_s = over[0].start_s
    goodput = rate(over, start_s + 1.0, start_s + OVERLOAD_S)
    refused = [1000 * (each.end_s - each.start_s) for each in over if each.status == 429]
    late = sum(each.status == 504 for each in over)
    others = sum(each.kind is not AnswerKind.RIGHT and each.status not in (429, 504) for each in over)
    settled = latencies_ms([each for each in after if each.start_s - after[0].start_s > SETTLED_S])
    unsettled = sum(each.kind is not AnswerKind.RIGHT for each in after if each.start_s - after[0].start_s > SETTLED_S)
    usual, now = statistics.median(normal), statistics.median(settled)
    return [
        OverloadRow("capacity, texts/s", f"{capacity:.0f}", "", is_good=True),
        OverloadRow("offered, requests/s", f"{len(over) / OVERLOAD_S:.0f}", "", is_good=True),
        OverloadRow("goodput / capacity", f"{goodput / capacity:.2f}", ">= 0.90", is_good=goodput >= 0.9 * capacity),
        OverloadRow("accepted and too late (504)", f"{late}", "<= 0.1 %", is_good=late <= len(over) / 1000),
        OverloadRow("refused (429)", f"{len(refused)}", "", is_good=True),
        OverloadRow("neither right nor refused", f"{others}", "0", is_good=others == 0),
        OverloadRow(
            "refusal, p50 ms", f"{statistics.median(refused):.1f}", "<= 5", is_good=statistics.median(refused) <= 5
        ),
        OverloadRow("refusal, p99 ms", f"{quantile(refused, 0.99):.1f}", "", is_good=True),
        OverloadRow("Retry-After, s", f"{min(said)}..{max(said)}", "1..3", is_good=1 <= min(said) <= max(said) <= 3),
        OverloadRow("latency p50 before, ms", f"{usual:.0f}", "", is_good=True),
        OverloadRow(
            f"latency p50 from {SETTLED_S:.0f} s after, ms", f"{now:.0f}", "<= 1.5 x", is_good=now <= 1.5 * usual
        ),
        OverloadRow("not right then", f"{unsettled}", "0", is_good=unsettled == 0),
    ]


def rate(requests: list[SentRequest], from_s: float, to_s: float) -> float:
    """Right answers per second in this time."""
    return sum(each.kind is AnswerKind.RIGHT and from_s <= each.end_s < to_s for each in requests) / (to_s - from_s)


def latencies_ms(requests: list[SentRequest]) -> list[float]:
    """The latencies of the right answers."""
    return [1000 * (each.end_s - each.start_s) for each in requests if each.kind is AnswerKind.RIGHT]


def quantile(values: list[float], share: float) -> float:
    """Return the value that this share does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def run() -> list[OverloadRow]:
    """Measure in a world of its own."""
    async with open_world() as world:
        return await measure(world)


def main() -> int:
    """Print the table; return the exit status."""
    found = asyncio.run(run())
    table = Table("overload", "seen", "demanded", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for each in found:
        table.add_row(each.what, each.seen, each.demanded, style="" if each.is_good else "bold red")
    Console(width=100).print(table)
    return 0 if all(each.is_good for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
