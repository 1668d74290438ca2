"""`python -m tests.laws.real [NAME ...]`: points with real processes, half a minute each, beside the simulation of them."""

import sys

from autobatch_batcher.simulating.score import Score
from tests.laws.best_fixed import found
from tests.laws.judging import judge
from tests.laws.points import CLOSED_MOST, LAWS, OPEN, LawPoint, open_traffic, traffic_of
from tests.laws.real.running import run_real
from tests.laws.targets import OVERLOAD, TargetPoint, run_targeted

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
#: Of TARGET_P99_MS, offered more than the upstream can do.
TARGETED = "target "
HEAD = "| point | goodput/s: real | simulated | | p50 ms: real | simulated | | p99 ms: real | simulated | |"


def main(names: list[str]) -> None:
    """Run the points of these names, or the dozen; `target padded / bursts` is one with TARGET_P99_MS."""
    print(HEAD, "|---|" + "--:|" * 9, sep="\n")
    for name in names or DOZEN:
        law, _, traffic = name.removeprefix(TARGETED).partition(" / ")
        run = _targeted(TargetPoint(law, traffic)) if name.startswith(TARGETED) else _usual(LawPoint(law, traffic))
        print(row(name, *run), flush=True)


def _usual(point: LawPoint) -> tuple[Score, Score]:
    capacity = found()[f"{point.law} / {CLOSED_MOST}"].goodput if point.traffic in OPEN else 0.0
    return run_real([LAWS[point.law]], traffic_of(point.traffic, capacity)), judge(point).auto


def _targeted(point: TargetPoint) -> tuple[Score, Score]:
    traffic = open_traffic(point.traffic, OVERLOAD * point.capacity)
    return run_real([LAWS[point.law]], traffic, target_p99_ms=point.target_ms), run_targeted(point)


def row(name: str, real: Score, simulated: Score) -> str:
    """Return the row of a point: what was measured, what was simulated, and the one by the other."""
    cells = [name]
    for measured, expected in (
        (real.goodput, simulated.goodput),
        (real.p50_ms, simulated.p50_ms),
        (real.p99_ms, simulated.p99_ms),
    ):
        cells += [f"{measured:.0f}", f"{expected:.0f}", f"{measured / expected:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
