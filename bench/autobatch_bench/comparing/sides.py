"""One upstream and the proxy in front of it under every kind of load, side by side: the main part of a report."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from autobatch_bench.comparing.rounds import Pair, Point, Round, of, spread
from autobatch_bench.load.plain_http import read
from autobatch_bench.load.workloads import Workload, WorkloadKind, make
from autobatch_bench.systems.process_stats import memory_mb
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.server_timing import Buckets, batch_buckets, batches_between

BOTH = ("direct", "proxy")
CONCURRENCIES = (1, 8, 32, 64, 128, 256, 512)
RATE_SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1)  # of the rate that the upstream reached directly
LENGTHS_WORDS = (4, 16, 64, 256)
BURSTS = (1, 5, 10, 30, 50, 100, 200, 500, 1000)
LENGTH_CONCURRENCY = 64
BREAKDOWN_CONCURRENCY = 8  # little queueing in the load generator itself, and several requests in flight


class Varied(StrEnum):
    """A part of a comparison: what is varied in it, or `parts`, where a request's time goes."""

    CONCURRENCY = "concurrency"
    RATES = "rates"
    BURSTS = "bursts"
    LENGTHS = "lengths"
    WORKLOADS = "workloads"
    PARTS = "parts"


class ComparisonOptions(msgspec.Struct, frozen=True):
    """How much is measured; `only` these parts. Rates are shares of what was reached by requests in flight, so those come with them."""

    seconds: float
    rounds: int
    only: Sequence[Varied] = tuple(Varied)
    bursts: Sequence[int] = BURSTS
    concurrencies: Sequence[int] = CONCURRENCIES
    rate_shares: Sequence[float] = RATE_SHARES
    lengths_words: Sequence[int] = LENGTHS_WORDS
    kinds: Sequence[WorkloadKind] = (WorkloadKind.SHORT, WorkloadKind.FIXED, WorkloadKind.MIXED, WorkloadKind.SEVERAL)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream, direct and through the proxy.

    Attributes:
        upstream: Its description.
        workload: What was sent unless stated otherwise.
        bursts: x is the requests sent at the same moment.
        concurrency: x is the requests in flight.
        rates: x is arrivals a second.
        lengths: x is words in a text.
        workloads: x is the name of the workload.
        batches: Bucket -> batches meanwhile; empty if no batcher was asked.
        parts_ms: Part of a request's time -> its median: see `parts_ms`.
        memory_mb: `VmRSS` (current) and `VmHWM` (peak) after the comparison -> role -> MB of its largest process.
    """

    upstream: str
    workload: str
    bursts: list[Point]
    concurrency: list[Point]
    rates: list[Point]
    lengths: list[Point]
    workloads: list[Point]
    batches: Buckets
    parts_ms: dict[str, float]
    memory_mb: dict[str, dict[str, float]]


def compare(rig: Rig, upstream: str, workload: Workload, options: ComparisonOptions) -> Comparison:
    """Measure everything."""
    before, only = _buckets(rig), options.only
    in_flight = options.concurrencies if {Varied.CONCURRENCY, Varied.RATES} & set(only) else ()
    concurrency = [_closed(rig, c, workload, c, options) for c in in_flight]
    best = max((of(point.pairs, "direct", "per_second").median for point in concurrency), default=0.0)
    return Comparison(
        upstream=upstream,
        workload=workload.name,
        concurrency=concurrency,
        rates=[
            _open(rig, share * best, workload, options)
            for share in options.rate_shares
            if best and Varied.RATES in only
        ],
        bursts=[
            rig.alternate(n, BOTH, options.rounds, lambda side, n=n: rig.burst(side, workload, n))  # type: ignore[misc]
            for n in options.bursts
            if Varied.BURSTS in only
        ],
        lengths=[
            _closed(rig, words, make(WorkloadKind.FIXED, words=words), LENGTH_CONCURRENCY, options)
            for words in options.lengths_words
            if Varied.LENGTHS in only
        ],
        workloads=[
            _closed(rig, kind, make(kind), LENGTH_CONCURRENCY, options)
            for kind in options.kinds
            if Varied.WORKLOADS in only
        ],
        parts_ms=_breakdown(rig, workload, options) if Varied.PARTS in only else {},
        batches=batches_between(before, _buckets(rig)),
        memory_mb={field: memory_mb(rig.sides["proxy"].pids, field) for field in ("VmRSS", "VmHWM")},
    )


def parts_ms(pairs: Sequence[Pair]) -> dict[str, float]:
    """Split a request's time, from rounds on `proxy`, which is the workers' own port, and on `nginx` if there is one.

    Returns:
        Medians over the rounds; never below zero, although a difference could be by chance. If the proxy does not
        report how long a request was in the queue and upstream, `behind nginx` includes that time and the worker's.
    """
    workers = [pair["proxy"] for pair in pairs]
    parts: dict[str, float] = {}
    if all(each.parts_ms for each in workers):
        for name in workers[0].parts_ms:
            parts[name] = spread([each.parts_ms.get(name, 0.0) for each in workers]).median
    behind_ms = sum(parts.values())
    parts["worker" if parts else "behind nginx"] = max(
        0.0, spread([each.p50_ms for each in workers]).median - behind_ms
    )
    if "nginx" in pairs[0]:
        parts["nginx"] = max(0.0, spread([pair["nginx"].p50_ms - pair["proxy"].p50_ms for pair in pairs]).median)
    return parts


def _closed(rig: Rig, x: float | str, workload: Workload, concurrency: int, options: ComparisonOptions) -> Point:
    def measure(side: str) -> Round:
        return rig.closed(side, workload, concurrency, options.seconds)

    return rig.alternate(x, BOTH, options.rounds, measure)


def _open(rig: Rig, per_second: float, workload: Workload, options: ComparisonOptions) -> Point:
    seeds = iter(range(2 * options.rounds))

    def measure(side: str) -> Round:
        return rig.open(
            side, workload, per_second, options.seconds, next(seeds) // 2
        )  # the same for both sides of a pair

    return rig.alternate(per_second, BOTH, options.rounds, measure)


def _breakdown(rig: Rig, workload: Workload, options: ComparisonOptions) -> dict[str, float]:
    sides = [side for side in ("proxy", "nginx") if side in rig.sides]

    def measure(side: str) -> Round:
        return rig.closed(side, workload, BREAKDOWN_CONCURRENCY, options.seconds)

    return parts_ms(rig.alternate(0, sides, options.rounds, measure).pairs)


def _buckets(rig: Rig) -> Buckets:
    metrics = rig.sides["proxy"].metrics
    return batch_buckets(read(metrics, "/metrics")) if metrics else {}
