"""Batchers that start at the same moment call the upstreams a moment later."""

import pytest

from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import ModelUpstream
from tests.simulation.virtual import virtual

ASKED_S, TIMEOUT_S = 0.4, 0.8


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("batchers", "upstreams"), [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)])
def test_a_request_right_after_the_start_is_answered(batchers: int, upstreams: int, seed: int) -> None:
    """Each has published that it takes all permits before it knew of the others; they share them at the next look."""
    timeline = Timeline(seed)
    answered = []
    with virtual(timeline):
        network = Network(timeline, ModelServer(timeline))
        models = [ModelUpstream(timeline, f"upstream{number}") for number in range(upstreams)]
        for number in range(batchers):
            SimulatedBatcher(timeline, network, f"b{number}", models)
        worker = SimulatedWorker(timeline, network, "w1")
        timeline.run_until(timeline.now_s + ASKED_S)

        async def ask() -> None:
            answered.append(await worker.ask(["text 1"], TIMEOUT_S))

        worker.loop.create_task(ask())
        timeline.run_until(timeline.now_s + TIMEOUT_S)
        timeline.close()
    assert [reply[0].status for replies in answered for reply in replies] == [200]
