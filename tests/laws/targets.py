"""TARGET_P99_MS beside the best fixed batches and windows (N, T): the most that each answers with its p99 within the target.

A fixed policy is offered less and less until its p99 is within the target; the batchers are offered more than the upstream can do.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.fixed_policies import SIZES, FixedPolicy, run_fixed
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.score import Score, score
from autobatch_shared.settings.definitions import BatcherSettings
from tests.laws.best_fixed import found
from tests.laws.points import CLOSED_MOST, LAWS, OPEN, SEED, LawPoint, open_traffic

FOUND = Path(__file__).with_name("best_windows.json")
TARGET_TIMES = 3  # the best p99 of four clients
OFFERED = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)  # of the capacity
OVERLOAD = 1.2
JUDGED_S = (8.0, 14.0)  # of a run
CALLS = (1, 2, 4)


class TargetPoint(LawPoint):
    """A law with a kind of open traffic."""

    @property
    def capacity(self) -> float:
        """Inputs a second that the best fixed policy answers under a backlog."""
        return found()[f"{self.law} / {CLOSED_MOST}"].goodput

    @property
    def target_ms(self) -> int:
        """What 99 of 100 have to be answered within."""
        return round(TARGET_TIMES * found()[f"{self.law} / closed 4"].p99_ms)

    @property
    def windows(self) -> Iterator[FixedPolicy]:
        """The fixed batches and windows that it is compared with; as many calls as it has places are among them."""
        parallel = law_of(LAWS[self.law]).parallel
        for calls in (*CALLS, parallel) if parallel > max(CALLS) else CALLS:
            for inputs in SIZES:
                for wait_ms in (0,) if inputs == 1 else (0, 10):
                    yield FixedPolicy(inputs, calls, wait_ms)


TARGET_POINTS = [TargetPoint(law, traffic) for law in LAWS for traffic in OPEN]


def run_targeted(point: TargetPoint) -> Score:
    """Return what the batchers do with the target, offered more than the upstream can do."""
    settings = BatcherSettings.model_construct(target_p99_ms=point.target_ms)
    traffic = open_traffic(point.traffic, OVERLOAD * point.capacity)
    history = run_batchers(law_of(LAWS[point.law]), traffic, SimulatedFleet(settings), JUDGED_S[1], seed=SEED)
    return score(history, *JUDGED_S)


def search(laws: Sequence[str]) -> None:
    """Find the best window of each point of these laws, on all cores, and keep what is found."""
    bests = json.loads(FOUND.read_text())
    chosen = [point for point in TARGET_POINTS if point.law in laws]
    with ProcessPoolExecutor() as workers:
        bests |= zip([point.name for point in chosen], workers.map(best_window, chosen), strict=True)
    bests = {point.name: bests[point.name] for point in TARGET_POINTS if point.name in bests}
    FOUND.write_text(json.dumps(bests, indent=2) + "\n")


def best_window(point: TargetPoint) -> tuple[str, float]:
    """Return the name of the best window, and the most that it answers with its p99 within the target."""
    best = "none", 0.0
    for policy in point.windows:
        for share in OFFERED:
            if share * point.capacity <= best[1]:
                break
            traffic = open_traffic(point.traffic, share * point.capacity)
            tried = score(run_fixed(law_of(LAWS[point.law]), traffic, policy, JUDGED_S[1], seed=SEED), *JUDGED_S)
            if tried.p99_ms <= point.target_ms and tried.goodput > best[1]:
                best = policy.name, round(tried.goodput, 2)
                break
    return best
