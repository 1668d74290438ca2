"""`python -m tests.laws.real [NAME ...]`: points with real processes, half a minute each, beside the simulation of them."""

import sys

from tests.laws.best_fixed import found
from tests.laws.judging import judge
from tests.laws.points import CLOSED_MOST, OPEN, POINTS, LawPoint, traffic_of
from tests.laws.real.running import run_point

#: One of each law, in all kinds of traffic.
DOZEN = (
    "padded / closed 64",
    "unpadded / closed 256",
    "knee / closed 64",
    "two at once / poisson",
    "noisy / closed 256",
    "slow start / bursts",
    "refusing / bursts",
    "batches itself / closed 64",
    "serial / closed 4",
    "four at once / closed 64",
    "halves / bulk",
    "multiples / poisson",
)
HEAD = "| point | goodput/s: real | simulated | | p50 ms: real | simulated | | p99 ms: real | simulated | |"


def main(names: list[str]) -> None:
    """Run the points of these names, or all."""
    print(HEAD, "|---|" + "--:|" * 9, sep="\n")
    for name in names or DOZEN:
        (point,) = [each for each in POINTS if each.name == name]
        print(row(point), flush=True)


def row(point: LawPoint) -> str:
    """Return the row of a point: what was measured, what was simulated, and the one by the other."""
    capacity = found()[f"{point.law} / {CLOSED_MOST}"].goodput if point.traffic in OPEN else 0.0
    simulated = judge(point).auto
    real = run_point(point, traffic_of(point.traffic, capacity))
    cells = [point.name]
    for measured, expected in (
        (real.goodput, simulated.goodput),
        (real.p50_ms, simulated.p50_ms),
        (real.p99_ms, simulated.p99_ms),
    ):
        cells += [f"{measured:.0f}", f"{expected:.0f}", f"{measured / expected:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
