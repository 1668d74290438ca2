"""What a comparison says to a reader who has to decide: what is gained, and where nothing is. Pure."""

from collections.abc import Iterator, Sequence

from autobatch_bench.comparing.rounds import Spread, of, ratio
from autobatch_bench.comparing.sides import Comparison
from autobatch_bench.report.grids import Grid, shown_x

FOR_WHOM = (
    "It pays where several clients ask at the same time, and a call costs the upstream something whatever it carries, or padding. "
    "It costs where one client asks at a time, or an answer takes the upstream less than a millisecond."
)
#: What a reader has to know to read the figures.
TERMS = (
    "direct, proxy: the same requests to the upstream itself, and to the proxy before it",
    "in flight: so many clients send their next request when they have the answer to the last (a closed loop)",
    "arrivals a second: requests are sent at random moments, whether or not the last ones are answered (an open loop)",
    "at once: so many requests at the same moment, until the last one is answered",
    "p50, p99: of 100 requests 50, or 99, take no longer",
    "1.23 (1.10..1.40): the median of all pairs of neighbouring rounds, and the least and the most",
    "instant: an upstream that answers at once, so only what the proxy costs is left",
    "tei-queue: an upstream that waits as long as text-embeddings-inference would, and computes eight texts at a time",
    "embedder: a real model, MiniLM, on the CPU",
)


def gains(comparison: Comparison) -> list[str]:
    """A sentence for each case with more requests a second."""
    return [f"{what}: {found} of direct's requests a second" for what, found in _rates(comparison) if found.median > 1]


def in_short(comparison: Comparison) -> str:
    """The best and the worst case of an upstream in one sentence; empty where none was measured."""
    found = sorted(_rates(comparison), key=lambda each: each[1].median)
    if not found:
        return ""
    (worst, least), (best, most) = found[0], found[-1]
    return f"{best}: {most.median:.2f} x the requests a second; {worst}: {least.median:.2f} x"


def side_by_side(comparisons: Sequence[Comparison]) -> Grid:
    """Every case, and what the proxy did of direct's requests a second before each upstream of the run."""
    found = {each.upstream: dict(_cases(each)) for each in comparisons}
    cases = dict.fromkeys(case for of_one in found.values() for case in of_one)
    rows = [(case, *(str(of_one.get(case, "")) for of_one in found.values())) for case in cases]
    return Grid("Requests a second of the proxy, of direct's, by upstream", ("case", *found), rows)


def without_gain(comparison: Comparison) -> list[str]:
    """A sentence for each case without a gain: fewer requests per second, or slower ones."""
    lines = [f"{what}: {found} of direct's requests a second" for what, found in _rates(comparison) if found.median < 1]
    for point in comparison.bursts:
        found = ratio(point.pairs, "proxy", "direct", "seconds")
        if found.median > 1:
            refused = of(point.pairs, "direct", "refused").median
            but = f", which refused {refused:,.0f} of them" if refused else ""
            lines.append(f"{comparison.upstream}, {shown_x(point.x)} at once: {found} of direct's time{but}")
    for point in comparison.rates:
        found = ratio(point.pairs, "proxy", "direct", "p50_ms")
        if found.median > 1:
            lines.append(f"{comparison.upstream}, {shown_x(point.x)} arrivals/s: {found} of direct's p50")
    return lines


def _rates(comparison: Comparison) -> Iterator[tuple[str, Spread]]:
    """Each case with its upstream, as `_cases`."""
    for case, found in _cases(comparison):
        yield f"{comparison.upstream}, {case}", found


def _cases(comparison: Comparison) -> Iterator[tuple[str, Spread]]:
    """Each case of a closed loop, and the requests a second of the proxy as a multiple of direct's."""
    named = (("in flight", comparison.concurrency), ("words", comparison.lengths), ("", comparison.workloads))
    for unit, points in named:
        for point in points:
            yield f"{shown_x(point.x)} {unit}".strip(), ratio(point.pairs, "proxy", "direct")
