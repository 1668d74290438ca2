"""The only batcher ends, by itself or not; the next one begins with what it had learnt of the upstream."""

import pytest

from autobatch_shared.contract.status import LearntCalls
from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import ModelUpstream
from tests.simulation.virtual import virtual

SETTLED_S, LOADED_S, AWAY_S = 2.0, 6.0, 30.0
EVERY_S, TIMEOUT_S = 0.02, 5.0


def learnt_by(batcher: SimulatedBatcher) -> LearntCalls:
    learnt = batcher.pool.upstreams[0].tuner.learnt
    assert learnt is not None
    return learnt


@pytest.mark.parametrize("model", [0, 1], ids=["the same model", "another model"])
@pytest.mark.parametrize("is_killed", [False, True], ids=["it stops", "it is killed"])
def test_the_next_batcher_knows_what_the_one_before_it_had_learnt(*, is_killed: bool, model: int) -> None:
    """It is killed for so long that its report is gone; a model that was changed meanwhile has other calls."""
    timeline = Timeline(1)
    with virtual(timeline):
        network = Network(timeline, ModelServer(timeline))
        upstream = ModelUpstream(timeline, "upstream")
        first = SimulatedBatcher(timeline, network, "b1", [upstream])
        worker = SimulatedWorker(timeline, network, "w1")

        async def ask(text: str) -> None:
            await worker.ask([text], TIMEOUT_S)

        def begin(text: str) -> None:
            worker.loop.create_task(ask(text))

        for number in range(int(LOADED_S / EVERY_S)):
            at_s = timeline.now_s + SETTLED_S + number * EVERY_S
            timeline.at(at_s, begin, f"text {number}")
        timeline.run_until(timeline.now_s + SETTLED_S + LOADED_S + TIMEOUT_S)
        before = learnt_by(first)
        if is_killed:
            first.loop.crash()
            network.cut("b1")
        else:
            first.stop()
        timeline.run_until(timeline.now_s + AWAY_S)
        upstream.model = model
        next_one = SimulatedBatcher(timeline, network, "b2", [upstream])
        timeline.run_until(timeline.now_s + AWAY_S)  # it moves the namespace's model, and reaps

        if model:
            assert next_one.pool.upstreams[0].is_usable
            assert next_one.pool.upstreams[0].tuner.learnt is None
        else:
            learnt = learnt_by(next_one)
            assert (before.calls_seen, before.flat_s, before.calls) == (learnt.calls_seen, learnt.flat_s, learnt.calls)
        timeline.close()
