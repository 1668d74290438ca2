"""Asked for three times what the upstream computes, a worker takes for the rate what the upstream does."""

from contextlib import suppress

import pytest

from autobatch_shared.contract.errors import AutobatchError
from tests.simulation.network import Network
from tests.simulation.processes import SLOTS, SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.schedule import virtual
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import BATCH_INPUTS_MAX, CALL_S, INPUT_S, ModelUpstream

BEGIN_S, LEARNT_S, END_S = 2.0, 9.0, 12.0
PER_S, TIMEOUT_S, LOOK_S = 700, 2.0, 0.5


class Overload:
    """One worker and one batcher at one upstream.

    Attributes:
        rates: What the worker took for the rate, at each look once it was known.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.rates: list[float] = []
        start_s = timeline.now_s
        network = Network(timeline, ModelServer(timeline))
        SimulatedBatcher(timeline, network, "b1", [ModelUpstream(timeline, "upstream")])
        self._worker = SimulatedWorker(timeline, network, "w1")
        for number in range(int((END_S - BEGIN_S) * PER_S)):
            timeline.at(start_s + BEGIN_S + number / PER_S, self._ask, f"text {number}")
        timeline.run_until(start_s + LEARNT_S)
        while timeline.now_s < start_s + END_S:
            timeline.run_until(timeline.now_s + LOOK_S)
            self.rates.append(self._worker.watcher.drained_per_s)
        timeline.run_until(start_s + END_S + 2 * TIMEOUT_S)

    def _ask(self, text: str) -> None:
        self._worker.loop.create_task(self._asked(text))

    async def _asked(self, text: str) -> None:
        with suppress(AutobatchError):
            await self._worker.ask([text], TIMEOUT_S)


@pytest.fixture(scope="module")
def overload() -> Overload:
    timeline = Timeline(1)
    with virtual(timeline):
        played = Overload(timeline)
        timeline.close()
    return played


def test_the_rate_is_what_the_upstream_computes(overload: Overload) -> None:
    """So a batch counts once, and not at all if its deadline ended the call. As the larger of two it may be somewhat high."""
    capacity_per_s = SLOTS * BATCH_INPUTS_MAX / (CALL_S + BATCH_INPUTS_MAX * INPUT_S)
    assert 0.5 * capacity_per_s < overload.rates[-1]
    assert max(overload.rates) < 1.2 * capacity_per_s
