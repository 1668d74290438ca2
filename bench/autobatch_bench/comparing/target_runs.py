"""Measure the targets of `autobatch_bench.comparing.promises`: one function for each group, from a rig to figures."""

import asyncio
import time
from collections.abc import Mapping

from autobatch_bench.comparing.promises import Figures
from autobatch_bench.comparing.rounds import Point, Round, Spread, cpu_us, difference, ratio, spread
from autobatch_bench.load.plain_http import post, read
from autobatch_bench.load.workloads import BULK_INPUTS, Workload, WorkloadKind, make, several_short
from autobatch_bench.systems.process_stats import memory_mb
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.server_timing import in_flight_inputs

BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # at which the model alone is measured
CROWD = 512
IN_FLIGHT = 64
SINGLE_CLIENTS = 200
WAITING = 10_000
WAITING_S = 60.0  # until all of them have arrived
METRICS_EVERY_S = 1.0  # as often as workers update their metrics
SOAK_PER_SECOND = 300.0  # moderate: about a fortieth of the instant upstream's rate
SOAK_WARM_UP_S = 10.0
FIFO = "fifo"  # the side whose batcher ignores lengths

BOTH = ("direct", "proxy")


def cost(rig: Rig, seconds: float, rounds: int) -> Figures:
    """T1, on the instant upstream."""
    short = make(WorkloadKind.SHORT)
    crowd = _closed(rig, short, CROWD, seconds, rounds)
    lone = _closed(rig, short, 1, seconds / 2, rounds)
    used = cpu_us(crowd.pairs, "proxy")
    return {
        "T1.rate": ratio(crowd.pairs, "proxy", "direct"),
        "T1.lone": difference(lone.pairs, "proxy", "direct", "p50_ms"),
        **{f"T1.cpu.{role}": used.get(role, "there is no /proc") for role in ("worker", "batcher", "redis")},
    }


def openai(rig: Rig, seconds: float, rounds: int) -> Figures:
    """T6, on the instant upstream: the same texts in TEI's form and in OpenAI's, in alternating rounds."""
    forms = {
        "tei": make(WorkloadKind.SHORT),
        "float": make(WorkloadKind.OPENAI),
        "base64": make(WorkloadKind.OPENAI_BASE64),
    }

    def measure(form: str) -> Round:
        return rig.closed("proxy", forms[form], CROWD, seconds)

    pairs = rig.alternate("OpenAI", tuple(forms), rounds, measure).pairs
    lone = _closed(rig, forms["float"], 1, seconds / 2, rounds)
    figures: Figures = {"T6.float.lone": difference(lone.pairs, "proxy", "direct", "p50_ms")}
    for form in ("float", "base64"):
        figures[f"T6.{form}.rate"] = ratio(pairs, form, "tei")
        figures[f"T6.{form}.worker"] = cpu_us(pairs, form).get("worker", "there is no /proc")
    return figures


def gain(rig: Rig, seconds: float, rounds: int) -> Figures:
    """T2, on the embedder; `fifo` is compared if the rig has that side."""
    figures: Figures = {}
    short = make(WorkloadKind.SHORT)
    bare = _inputs_per_second(rig, seconds / 3)
    short_point = _closed(rig, short, IN_FLIGHT, seconds, rounds)
    bare += _inputs_per_second(rig, seconds / 3)  # before and after, because the machine may have changed
    best, size = max(bare)
    figures["T2.bare"] = f"{best:,.0f} inputs/s, in batches of {size}"
    figures["T2.short.best"] = spread([pair["proxy"].per_second / best for pair in short_point.pairs])
    figures["T2.short.rate"] = ratio(short_point.pairs, "proxy", "direct")
    figures["T2.short.p99"] = ratio(short_point.pairs, "proxy", "direct", "p99_ms")
    # Long texts are rare: a round must be long enough to contain some.
    sides = (*BOTH, FIFO) if FIFO in rig.sides else BOTH
    mixed = _closed(rig, make(WorkloadKind.MIXED), IN_FLIGHT, 1.5 * seconds, rounds, sides)
    figures["T2.mixed.rate"] = ratio(mixed.pairs, "proxy", "direct")
    figures["T2.mixed.p99"] = ratio(mixed.pairs, "proxy", "direct", "p99_ms")
    figures["T2.mixed.fifo"] = (
        ratio(mixed.pairs, "proxy", FIFO) if FIFO in rig.sides else "this batcher has no BATCH_SHAPE"
    )
    for kind in (WorkloadKind.FIXED, WorkloadKind.SEVERAL):
        point = _closed(rig, make(kind), IN_FLIGHT, seconds, rounds)
        figures[f"T2.{kind}.rate"] = ratio(point.pairs, "proxy", "direct")
    lone = _closed(rig, short, 1, seconds / 2, rounds)
    figures["T2.lone"] = difference(lone.pairs, "proxy", "direct", "p50_ms")
    return figures


def order(rig: Rig, seconds: float, rounds: int) -> Figures:
    """T3, on the tei-queue upstream."""
    return {
        f"T3.{kind}.rate": ratio(_closed(rig, make(kind), IN_FLIGHT, seconds, rounds).pairs, "proxy", "direct")
        for kind in (WorkloadKind.MIXED, WorkloadKind.FIXED)
    }


def fairness(rig: Rig, upstream: str, seconds: float, rounds: int) -> Figures:
    """T4, on any upstream: how one client with long lists affects the others."""
    short, bulk = make(WorkloadKind.SHORT), several_short(BULK_INPUTS)
    ratios, finished = [], []
    for _ in range(rounds):
        alone = rig.closed("proxy", short, SINGLE_CLIENTS, seconds)
        beside, lists = rig.beside("proxy", short, SINGLE_CLIENTS, bulk, seconds)
        ratios.append(beside.p99_ms / alone.p99_ms)
        finished.append(float(lists.right))
    return {f"T4.{upstream}.p99": spread(ratios), f"T4.{upstream}.bulk": spread(finished)}


def memory(rig: Rig) -> Figures:
    """T5, on the instant upstream with its gate closed while the requests wait."""
    upstream, side = rig.sides["direct"].target, rig.sides["proxy"]
    seen: dict[str, float] = {}
    waiting = 0.0

    async def look() -> None:
        nonlocal waiting
        deadline = time.monotonic() + WAITING_S
        while waiting < WAITING and time.monotonic() < deadline:
            await asyncio.sleep(METRICS_EVERY_S)
            waiting = in_flight_inputs(await asyncio.to_thread(read, side.target, "/metrics"))
        seen.update(memory_mb(side.pids))
        await asyncio.to_thread(post, upstream, "/gate/open")

    post(upstream, "/gate/close")
    try:
        rig.burst("proxy", make(WorkloadKind.SHORT), WAITING, look)
    except OSError as error:
        return dict.fromkeys(("T5.worker", "T5.batcher"), f"{WAITING:,} connections cannot be opened: {error}")
    finally:
        post(upstream, "/gate/open")
    if waiting < WAITING:
        return dict.fromkeys(("T5.worker", "T5.batcher"), f"only {waiting:,.0f} requests were waiting")
    return {f"T5.{role}": _memory(seen, role) for role in ("worker", "batcher")}


def soak(rig: Rig, minutes: float) -> Figures:
    """T5's soak: memory before and after some minutes of moderate load, on the instant upstream."""
    mixed, pids = make(WorkloadKind.MIXED), rig.sides["proxy"].pids
    rig.open("proxy", mixed, SOAK_PER_SECOND, SOAK_WARM_UP_S, 0)
    before = memory_mb(pids)
    rig.open("proxy", mixed, SOAK_PER_SECOND, minutes * 60, 1)
    after = memory_mb(pids)
    growth = [100 * (after[role] / before[role] - 1) for role in ("worker", "batcher") if role in before]
    return {"T5.soak": Spread(max(growth), min(growth), max(growth)) if growth else "there is no /proc"}


def _closed(
    rig: Rig, workload: Workload, concurrency: int, seconds: float, rounds: int, sides: tuple[str, ...] = BOTH
) -> Point:
    def measure(side: str) -> Round:
        return rig.closed(side, workload, concurrency, seconds)

    return rig.alternate(workload.name, sides, rounds, measure)


def _inputs_per_second(rig: Rig, seconds: float) -> list[tuple[float, int]]:
    """Return the inputs per second of the model alone with batches of each size, one at a time, and the size."""
    return [(rig.closed("direct", several_short(size), 1, seconds).per_second * size, size) for size in BATCH_SIZES]


def _memory(seen: Mapping[str, float], role: str) -> Spread | str:
    return spread([seen[role]]) if role in seen else "there is no /proc"
