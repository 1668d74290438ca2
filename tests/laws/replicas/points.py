"""Two upstreams of which one is much slower: beside what the fast one does alone."""

from dataclasses import replace

from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.law import SimulatedLaw, law_of
from autobatch_batcher.simulating.score import Score, score
from autobatch_shared.settings.definitions import BatcherSettings
from tests.laws.best_fixed import found
from tests.laws.points import CLOSED_MOST, LAWS, LEARNING_S, RUN_S, SEED, LawPoint, open_traffic, traffic_of

SLOW_TIMES = 20
OPEN_SHARE = 0.5  # of what the fast one can do


class ReplicasPoint(LawPoint):
    """A law of which one upstream needs `SLOW_TIMES` as long, with a kind of traffic."""

    def run(self, others: tuple[SimulatedLaw, ...]) -> Score:
        """Return what the fast one does with the others beside it, once the batcher has learnt."""
        fleet = SimulatedFleet(BatcherSettings.model_construct(), others=others)
        if self.traffic == "poisson":
            traffic = open_traffic(self.traffic, OPEN_SHARE * found()[f"{self.law} / {CLOSED_MOST}"].goodput)
        else:
            traffic = traffic_of(self.traffic, 0.0)
        history = run_batchers(law_of(LAWS[self.law]), traffic, fleet, RUN_S, seed=SEED)
        return score(history, LEARNING_S, RUN_S)


REPLICAS_POINTS = [
    ReplicasPoint("padded", "closed 64"),
    ReplicasPoint("padded", "poisson"),
    ReplicasPoint("unpadded", "closed 4"),
    ReplicasPoint("four at once", "closed 64"),
    ReplicasPoint("four at once", "poisson"),
]


def slower(law: SimulatedLaw, times: float = SLOW_TIMES) -> SimulatedLaw:
    """Return the law of an upstream that needs so many times as long."""
    return replace(
        law, fixed_ms=times * law.fixed_ms, per_unit_us=times * law.per_unit_us, per_input_us=times * law.per_input_us
    )
