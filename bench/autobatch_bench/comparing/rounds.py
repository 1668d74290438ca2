"""Rounds, and figures over several of them: medians, ratios within a pair, and their spread. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from autobatch_bench.load.outcome import NO_ANSWER, LoadOutcome, percentile_ms
from autobatch_bench.systems.server_timing import median_parts_ms

NAMED_MAX = 5  # of who else used the machine
NO_NEIGHBOURS: Mapping[str, float] = MappingProxyType({})
Pair = dict[str, "Round"]  # side -> its round; all ran in succession, so the machine was in the same state


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One run of load on one side.

    Attributes:
        side: `direct`, `proxy` or another name of the system.
        workload: Name of what was sent.
        load: Describes how it was sent.
        seconds: How long it took.
        per_second: Right answers a second.
        right: Correct answers.
        wrong: Incorrect answers with status 200.
        refused: Answers with status 429 from an upstream that was called directly: TEI sends them when it has no
            permits.
        failed: Status -> other answers; 0 is a request without an answer.
        late: Requests that the load generator itself sent late.
        cpu_us: Role -> CPU microseconds for each right answer.
        parts_ms: Part of the proxy's `server-timing` -> its median.
        others: Name of a process that is none of the system's -> the cores that it used meanwhile.
    """

    side: str
    workload: str
    load: str
    seconds: float
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    right: int
    wrong: int
    refused: int
    failed: dict[int, int]
    late: int
    cpu_us: dict[str, float]
    parts_ms: dict[str, float]
    others: dict[str, float] = {}

    @property
    def bad(self) -> int:
        """The number of incorrect answers."""
        return self.wrong + sum(self.failed.values())


class Spread(msgspec.Struct, frozen=True):
    """A figure over several rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """The figure as shown in tables."""
        if self.low == self.high:
            return f"{self.median:,.2f}"
        return f"{self.median:,.2f} ({self.low:,.2f}..{self.high:,.2f})"


class Point(msgspec.Struct, frozen=True):
    """All rounds at one value of the parameter that is varied; `x` is that value."""

    x: float | str
    pairs: list[Pair]


def summed_up(
    side: str,
    workload: str,
    load: str,
    outcome: LoadOutcome,
    cpu_s: Mapping[str, float],
    others: Mapping[str, float] = NO_NEIGHBOURS,
) -> Round:
    """Return a run's outcome as a round; `cpu_s` is the CPU time that each role used meanwhile, `others` as in `Round`."""
    failed = dict(outcome.failed)
    refused = failed.pop(429, 0) if side == "direct" else 0
    latencies = sorted(outcome.latencies_s)
    return Round(
        side=side,
        workload=workload,
        load=load,
        seconds=outcome.seconds,
        per_second=outcome.per_second,
        p50_ms=percentile_ms(latencies, 0.5),
        p95_ms=percentile_ms(latencies, 0.95),
        p99_ms=percentile_ms(latencies, 0.99),
        right=outcome.right,
        wrong=outcome.wrong,
        refused=refused,
        failed=failed,
        late=outcome.late,
        cpu_us={role: used / max(1, outcome.right) * 1e6 for role, used in cpu_s.items()},
        parts_ms=median_parts_ms(outcome.heads),
        others=dict(others),
    )


def spread(values: Sequence[float]) -> Spread:
    """Return the median of at least one value, and the least and the most."""
    return Spread(statistics.median(values), min(values), max(values))


def of(pairs: Sequence[Pair], side: str, name: str) -> Spread:
    """Return a figure of one side over its rounds."""
    return spread([getattr(pair[side], name) for pair in pairs])


def ratio(pairs: Sequence[Pair], above: str, below: str, name: str = "per_second") -> Spread:
    """Return a figure of one side as a multiple of another's, in each pair."""
    return spread(
        [getattr(pair[above], name) / getattr(pair[below], name) for pair in pairs if getattr(pair[below], name)]
        or [0.0]
    )


def difference(pairs: Sequence[Pair], above: str, below: str, name: str) -> Spread:
    """Return by how much a figure of one side exceeds another's, in each pair."""
    return spread([getattr(pair[above], name) - getattr(pair[below], name) for pair in pairs])


def cpu_us(pairs: Sequence[Pair], side: str) -> dict[str, Spread]:
    """Return the CPU microseconds a request of each role; none if there is no /proc."""
    roles = pairs[0][side].cpu_us
    return {role: spread([pair[side].cpu_us[role] for pair in pairs]) for role in roles}


def faults(rounds: Sequence[Round]) -> list[str]:
    """Return a line for each kind of bad answer, by side; none if all answers were right."""
    lines = []
    for side in dict.fromkeys(each.side for each in rounds):
        mine = [each for each in rounds if each.side == side]
        if wrong := sum(each.wrong for each in mine):
            lines.append(f"{side}: {wrong} wrong answers")
        for status in sorted({status for each in mine for status in each.failed}):
            count = sum(each.failed.get(status, 0) for each in mine)
            lines.append(f"{side}: {count} times {'no answer' if status == NO_ANSWER else f'status {status}'}")
    return lines


def neighbours(rounds: Sequence[Round]) -> str:
    """Return in how many rounds others used this machine, and who; empty if in none."""
    busy = [each for each in rounds if each.others]
    if not busy:
        return ""
    most: dict[str, float] = {}
    for each in busy:
        for name, cores in each.others.items():
            most[name] = max(most.get(name, 0.0), cores)
    named = sorted(most, key=lambda name: -most[name])[:NAMED_MAX]
    said = ", ".join(f"{name} up to {most[name]:.1f} cores" for name in named)
    return f"in {len(busy)} of {len(rounds)} rounds others used this machine: {said}"
