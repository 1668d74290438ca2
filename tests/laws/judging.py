"""Run the batchers at a point and compare them with the best fixed policy."""

from typing import NamedTuple

from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.score import Score, score
from autobatch_shared.settings.definitions import BatcherSettings
from tests.laws.best_fixed import BestFixed, found
from tests.laws.points import CLOSED_MOST, LAWS, LEARNING_S, OPEN, RUN_S, SEED, LawPoint, traffic_of

GOODPUT_MIN, P99_MAX = 0.97, 1.1


class PointResult(NamedTuple):
    """How the batchers did at a point.

    Attributes:
        auto: Once they had learnt.
        whole: From the beginning.
        best: The best fixed policy.
    """

    auto: Score
    whole: Score
    best: BestFixed

    @property
    def goodput(self) -> float:
        """Of that of the best."""
        return self.auto.goodput / self.best.goodput

    @property
    def p99(self) -> float:
        """Of that of the best."""
        return self.auto.p99_ms / self.best.p99_ms

    @property
    def is_reached(self) -> bool:
        """Whether they are as good as they have to be."""
        return self.goodput >= GOODPUT_MIN and self.p99 <= P99_MAX


def judge(point: LawPoint) -> PointResult:
    """Run a point."""
    bests = found()
    capacity = bests[f"{point.law} / {CLOSED_MOST}"].goodput if point.traffic in OPEN else 0.0
    settings = BatcherSettings.model_construct()
    history = run_batchers(
        law_of(LAWS[point.law]), traffic_of(point.traffic, capacity), SimulatedFleet(settings), RUN_S, seed=SEED
    )
    return PointResult(score(history, LEARNING_S, RUN_S), score(history, 0.0, RUN_S), bests[point.name])
