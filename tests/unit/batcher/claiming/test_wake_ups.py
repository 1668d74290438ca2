"""No job waits for the next look while a batcher is idle: the working loops of two batchers, in virtual time."""

from itertools import accumulate
from random import Random

import pytest

from autobatch_batcher.claiming.watch import BLOCK_S
from autobatch_batcher.simulating import simulated_queue
from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.clients import SimulatedRequest, TimedArrivals
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.settings.definitions import BatcherSettings

DEFAULTS = BatcherSettings.model_construct()
PER_S, SECONDS = 320.0, 6.0
BEGIN_S = 3.0  # the batchers know of each other
FAR_S = 0.005  # a claim's way to Redis and back


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_push_behind_a_claim_that_is_under_way_wakes_a_batcher(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ring comes before the claim's answer, which says that nothing is left."""
    monkeypatch.setattr(simulated_queue, "CLAIM_S", FAR_S)
    chance = Random(seed)
    times = accumulate(chance.expovariate(PER_S) for _ in range(int(PER_S * SECONDS)))
    asked = [(BEGIN_S + at_s, SimulatedRequest((33,))) for at_s in times]

    fleet = SimulatedFleet(DEFAULTS, batchers=2)
    answered = run_batchers(law_of("padded:fixed_ms=10"), TimedArrivals(asked), fleet, BEGIN_S + SECONDS).answered

    assert max(each.ended_s - each.sent_s for each in answered) < BLOCK_S / 4


@pytest.mark.parametrize("phase_s", [step / 500 for step in range(5)])
def test_a_batcher_that_stops_answers_what_comes_to_it_meanwhile(
    phase_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a push that claims in the same moment: such a claim may be under way when it is told to stop."""
    monkeypatch.setattr(simulated_queue, "WAKE_S", FAR_S)
    asked = [(BEGIN_S + number / 100, SimulatedRequest((33,))) for number in range(200)]

    fleet = SimulatedFleet(DEFAULTS, batchers=2, first_stops_s=BEGIN_S + 1 + phase_s)
    history = run_batchers(law_of("padded:fixed_ms=1"), TimedArrivals(asked), fleet, BEGIN_S + 4)

    assert len(history.answered) == len(asked)


def test_the_end_of_a_lone_call_costs_no_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """One turn sends it, one waits for the next push; what else looks for a slot are the beats and the ends of watches."""
    turns = 0
    free = Pool.free

    def counted(pool: Pool, now_s: float, inputs: int = 1, waiting_inputs: int = 0) -> Replica | None:
        nonlocal turns
        turns += 1
        return free(pool, now_s, inputs, waiting_inputs)

    monkeypatch.setattr(Pool, "free", counted)
    asked = [(BEGIN_S + number / 100, SimulatedRequest((33,))) for number in range(400)]

    fleet = SimulatedFleet(DEFAULTS)
    answered = run_batchers(law_of("padded:fixed_ms=1"), TimedArrivals(asked), fleet, BEGIN_S + 5).answered

    assert len(answered) == len(asked)
    assert turns < 2.5 * len(asked)
