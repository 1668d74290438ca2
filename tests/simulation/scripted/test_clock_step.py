"""A request whose push was held up while Redis's clock stepped ahead has the time that it had."""

import pytest

from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import ModelUpstream
from tests.simulation.virtual import virtual

ASKED_S, TIMEOUT_S, HELD_S = 0.4, 3.0, 1.0


@pytest.mark.parametrize("left_ms", [-1000, 20], ids=["over before the call", "over in the call"])
def test_a_job_that_seems_late_by_a_step_is_asked_again(left_ms: int) -> None:
    """By the stamp in its frame so little time is left as it arrives; a call takes 28 ms or more."""
    timeline = Timeline(1)
    answered = []
    with virtual(timeline):
        server = ModelServer(timeline)
        network = Network(timeline, server)
        SimulatedBatcher(timeline, network, "b1", [ModelUpstream(timeline, "upstream0")])
        worker = SimulatedWorker(timeline, network, "w1")
        timeline.run_until(timeline.now_s + ASKED_S)
        network.hold(["w1"], timeline.now_s + HELD_S)
        server.offset_ms += (TIMEOUT_S - HELD_S) * 1000 - left_ms

        async def ask() -> None:
            answered.append(await worker.ask(["text 1"], TIMEOUT_S))

        worker.loop.create_task(ask())
        timeline.run_until(timeline.now_s + TIMEOUT_S)
        timeline.close()
    assert [(reply[0].status, reply[0].fault) for replies in answered for reply in replies] == [(200, "")]
