"""The targets that autobatch promises to reach, and whether a run reached them. Pure: figures in, results out.

Every figure is a ratio or a difference within one run, so that it is meaningful on other machines, too; CPU times and
memory are the exceptions.
"""

from collections.abc import Collection, Sequence

import msgspec

from autobatch_bench.comparing.rounds import Spread


class Target(msgspec.Struct, frozen=True):
    """One target.

    Attributes:
        key: Of the figure that is compared with the bound; begins with the group, `T1` to `T6`.
        what: Describes the figure.
        bound: What it must reach, or must not exceed.
        is_most: Whether the bound is a maximum.
        unit: Of figure and bound.
    """

    key: str
    what: str
    bound: float
    is_most: bool
    unit: str

    @property
    def group(self) -> str:
        """The measurement it belongs to."""
        return self.key.partition(".")[0]


class TargetResult(msgspec.Struct, frozen=True):
    """A target and what was measured.

    Attributes:
        target: What was promised.
        figure: None when it could not be measured.
        note: Why it could not.
        text: `ok`, `missed` or `not measured`.
    """

    target: Target
    figure: Spread | None
    note: str
    text: str


Figures = dict[str, Spread | str]  # by target key; a text says why there is no figure


def _least(key: str, what: str, bound: float, unit: str = "x") -> Target:
    return Target(key, what, bound, is_most=False, unit=unit)


def _most(key: str, what: str, bound: float, unit: str = "x") -> Target:
    return Target(key, what, bound, is_most=True, unit=unit)


GROUPS = {
    "T1": "instant upstream: what the proxy costs",
    "T2": "embedder on 2 threads: what batching gains on a CPU",
    "T3": "tei-queue upstream: what the order of work gains",
    "T4": "fairness: 200 single clients beside one with lists of 2,000",
    "T5": "memory",
    "T6": "instant upstream: OpenAI's form beside TEI's",
}

TARGETS: tuple[Target, ...] = (
    _least("T1.rate", "512 in flight: req/s, proxy / direct", 0.9),
    _most("T1.lone", "1 in flight: p50, proxy - direct", 1.2, "ms"),
    _most("T1.cpu.worker", "512 in flight: worker CPU a request", 110, "us"),
    _most("T1.cpu.batcher", "512 in flight: batcher CPU a request", 45, "us"),
    _most("T1.cpu.redis", "512 in flight: Redis CPU a request", 30, "us"),
    _least("T2.short.best", "short, 64 in flight: req/s, proxy / the bare model's best batch size", 0.9),
    _least("T2.short.rate", "short, 64 in flight: req/s, proxy / direct", 1.5),
    _least("T2.mixed.rate", "mixed, 64 in flight: req/s, proxy / direct", 1.1),
    _least("T2.mixed.fifo", "mixed, 64 in flight: req/s, proxy / proxy with first-in-first-out batches", 2.0),
    _least("T2.fixed.rate", "fixed, 64 in flight: req/s, proxy / direct", 0.95),
    _least("T2.several.rate", "several, 64 in flight: req/s, proxy / direct", 0.95),
    _most("T2.short.p99", "short, 64 in flight: p99, proxy / direct", 1.0),
    _most("T2.mixed.p99", "mixed, 64 in flight: p99, proxy / direct", 1.0),
    _most("T2.lone", "short, 1 in flight: p50, proxy - direct", 1.5, "ms"),
    _least("T3.mixed.rate", "mixed, 64 in flight: req/s, proxy / direct", 1.2),
    _least("T3.fixed.rate", "fixed, 64 in flight: req/s, proxy / direct", 0.95),
    _most("T4.tei-queue.p99", "tei-queue: p99 of singles, beside bulk / alone", 2.0),
    _least("T4.tei-queue.bulk", "tei-queue: bulk requests finished in a round", 1, "requests"),
    _most("T4.instant.p99", "instant: p99 of singles, beside bulk / alone", 2.0),
    _least("T4.instant.bulk", "instant: bulk requests finished in a round", 1, "requests"),
    _most("T4.embedder.p99", "embedder: p99 of singles, beside bulk / alone", 2.0),
    _least("T4.embedder.bulk", "embedder: bulk requests finished in a round", 1, "requests"),
    _most("T5.worker", "memory of a worker with 10,000 requests waiting", 120, "MB"),
    _most("T5.batcher", "memory of the batcher meanwhile", 120, "MB"),
    _most("T5.soak", "soak: growth of worker's or batcher's memory", 5, "%"),
    _least("T6.float.rate", "512 in flight: req/s of the proxy, OpenAI float / TEI", 0.9),
    _least("T6.base64.rate", "512 in flight: req/s of the proxy, OpenAI base64 / TEI", 0.7),
    _most("T6.float.worker", "512 in flight: worker CPU a request, OpenAI float", 121, "us"),
    _most("T6.base64.worker", "512 in flight: worker CPU a request, OpenAI base64", 143, "us"),
    _most("T6.float.lone", "1 in flight: p50 of OpenAI float, proxy - direct", 1.32, "ms"),
)

#: Figures that are measured without a bound, by key.
ASIDES = {"T2.bare": "short, the bare model's best at a fixed batch size"}


def evaluate(figures: Figures, groups: Collection[str], targets: Sequence[Target] = TARGETS) -> list[TargetResult]:
    """Compare every target of these groups with the measured figures."""
    verdicts = []
    for target in targets:
        if target.group in groups:
            figure = figures.get(target.key, "was not run")
            verdicts.append(_verdict(target, figure))
    return verdicts


def _verdict(target: Target, figure: Spread | str) -> TargetResult:
    if isinstance(figure, str):
        return TargetResult(target, None, figure, "not measured")
    is_reached = figure.median <= target.bound if target.is_most else figure.median >= target.bound
    return TargetResult(target, figure, "", "ok" if is_reached else "missed")


def asides(figures: Figures) -> list[str]:
    """Return a line for each figure that has no bound."""
    return [f"{key.partition('.')[0]} {what}: {figures[key]}" for key, what in ASIDES.items() if key in figures]
