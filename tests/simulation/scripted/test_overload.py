"""Asked for much more than the upstream computes, it computes what is in time, and the rest is refused."""

from collections import Counter

import pytest

from autobatch_shared.contract.errors import AutobatchError, DeadlineExceeded, QueueFull
from tests.simulation.network import Network
from tests.simulation.processes import SLOTS, SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import BATCH_INPUTS_MAX, CALL_S, INPUT_S, ModelUpstream
from tests.simulation.virtual import virtual

BEGIN_S, LEARNT_S, END_S, LOOK_S = 2.0, 6.0, 14.0, 0.5
TIMES_MEAN = 1.1  # of what a call takes, as `ModelUpstream` draws it
CAPACITY_PER_S = SLOTS * BATCH_INPUTS_MAX / (TIMES_MEAN * (CALL_S + BATCH_INPUTS_MAX * INPUT_S))


class Overload:
    """One worker and one batcher at one upstream.

    Attributes:
        outcomes: Of the requests that came once the rate was known: `right`, or an error's code.
        first: The same, of those that came before.
        computed: Number of inputs that the upstream computed, or began to.
        rates: What the worker took for the rate, at each look once it was known.

    Args:
        timeline: The time that passes.
        times: How many times the upstream's capacity is offered.
        timeout_s: Seconds that each request has.
    """

    def __init__(self, timeline: Timeline, times: float, timeout_s: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self.first: Counter[str] = Counter()
        self.rates: list[float] = []
        self._timeline = timeline
        self._timeout_s = timeout_s
        start_s = timeline.now_s
        self._learnt_s = start_s + LEARNT_S
        network = Network(timeline, ModelServer(timeline))
        upstream = ModelUpstream(timeline, "upstream")
        SimulatedBatcher(timeline, network, "b1", [upstream])
        self._worker = SimulatedWorker(timeline, network, "w1")
        per_s = times * CAPACITY_PER_S
        for number in range(int((END_S - BEGIN_S) * per_s)):
            timeline.at(start_s + BEGIN_S + number / per_s, self._ask, f"text {number}")
        timeline.run_until(self._learnt_s)
        while timeline.now_s < start_s + END_S:
            timeline.run_until(timeline.now_s + LOOK_S)
            self.rates.append(self._worker.watcher.drained_per_s)
        timeline.run_until(start_s + END_S + 2 * timeout_s)
        self.computed = sum(upstream.computed.values())

    def _ask(self, text: str) -> None:
        self._worker.loop.create_task(self._asked(text))

    async def _asked(self, text: str) -> None:
        outcomes = self.outcomes if self._timeline.now_s >= self._learnt_s else self.first
        try:
            replies = await self._worker.ask([text], self._timeout_s)
            outcome = replies[0][0].fault or "right"
        except AutobatchError as error:
            outcome = error.code
        outcomes[outcome] += 1


@pytest.fixture(scope="module", params=[(2.5, 1.0), (2.5, 1.5), (3.0, 1.0), (3.0, 1.5)], ids=str)
def overload(request: pytest.FixtureRequest) -> Overload:
    timeline = Timeline(1)
    with virtual(timeline):
        played = Overload(timeline, *request.param)
        timeline.close()
    return played


def test_the_rate_is_what_the_upstream_computes(overload: Overload) -> None:
    """So a batch counts once, and not at all if its deadline ended the call. As the larger of two it may be somewhat high."""
    assert 0.5 * CAPACITY_PER_S < overload.rates[-1]
    assert max(overload.rates) < 1.2 * CAPACITY_PER_S


def test_what_the_upstream_computes_is_in_time_even_before_the_rate_is_known(overload: Overload) -> None:
    """By the least that a call takes, the head of the queue is always a job that one can hardly be in time for."""
    assert overload.outcomes["right"] + overload.first["right"] >= 0.95 * overload.computed


def test_once_the_rate_is_known_nearly_all_that_is_not_answered_is_refused(overload: Overload) -> None:
    """Though the batcher would like to know whether one call at a time is as good, which halves what is computed."""
    outcomes = overload.outcomes
    assert {"right", QueueFull.code} <= set(outcomes) <= {"right", QueueFull.code, DeadlineExceeded.code}
    assert outcomes["right"] >= 0.9 * CAPACITY_PER_S * (END_S - LEARNT_S)
    assert outcomes[DeadlineExceeded.code] <= 0.001 * outcomes.total()
