"""An upstream that comes back with another model has its first requests answered at once, whenever that is."""

import pytest

from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import ModelUpstream
from tests.simulation.virtual import virtual

SETTLED_S, RESTART_S = 2.0, 0.1
ANSWERED_WITHIN_S = (
    0.9  # a look for an upstream that has to say again what it serves, one of each other batcher, and calls
)
REQUESTS = 4


@pytest.mark.parametrize("batchers", [1, 2, 3])
@pytest.mark.parametrize("idle_s", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_the_first_requests_after_a_change_of_the_model_do_not_wait_for_a_report(idle_s: float, batchers: int) -> None:
    """Batchers report every second, at moments that a request knows nothing of; the last that has changed moves the model."""
    timeline = Timeline(1)
    answered_s: list[float] = []
    with virtual(timeline):
        network = Network(timeline, ModelServer(timeline))
        upstream = ModelUpstream(timeline, "upstream")
        for number in range(batchers):
            SimulatedBatcher(timeline, network, f"b{number}", [upstream])
        worker = SimulatedWorker(timeline, network, "w1")
        timeline.run_until(timeline.now_s + SETTLED_S + idle_s)
        upstream.stop()
        timeline.run_until(timeline.now_s + RESTART_S)
        upstream.model = 1
        upstream.start()

        async def ask(number: int) -> None:
            await worker.ask([f"text {number}"], timeout_s=5.0)
            answered_s.append(timeline.now_s)

        asked_s = timeline.now_s
        for number in range(REQUESTS):
            timeline.run_until(asked_s + number * 0.01)
            worker.loop.create_task(ask(number))
        timeline.run_until(asked_s + ANSWERED_WITHIN_S)
        timeline.close()
    assert len(answered_s) == REQUESTS
