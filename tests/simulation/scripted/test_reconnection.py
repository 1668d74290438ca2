"""A batcher's connections to Redis break; it works on as soon as they are back, not only at its next beat."""

import pytest

from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import ModelUpstream
from tests.simulation.virtual import virtual

SETTLED_S, TIMEOUT_S = 3.0, 5.0
SOON_S = 0.2  # a connection is back after 0.03 s, and two calls take up to 0.15 s; a beat is 0.5 s
AROUND_THE_BREAK_S = tuple(step / 200 for step in range(-20, 10))


def seconds_taken(seed: int, asked_s: tuple[float, ...]) -> list[float]:
    """Return what each request takes that is asked so many seconds after the break."""
    timeline = Timeline(seed)
    taken_s = []
    with virtual(timeline):
        network = Network(timeline, ModelServer(timeline))
        SimulatedBatcher(timeline, network, "b1", [ModelUpstream(timeline, "upstream")])
        worker = SimulatedWorker(timeline, network, "w1")

        async def ask(text: str) -> None:
            begun_s = timeline.now_s
            await worker.ask([text], TIMEOUT_S)
            taken_s.append(timeline.now_s - begun_s)

        def begin(text: str) -> None:
            worker.loop.create_task(ask(text))

        break_s = timeline.now_s + SETTLED_S
        timeline.at(break_s, network.cut, "b1")
        for after_s in asked_s:
            timeline.at(break_s + after_s, begin, f"text {after_s}")
        timeline.run_until(break_s + TIMEOUT_S)
        timeline.close()
    assert len(asked_s) == len(taken_s)
    return taken_s


@pytest.mark.parametrize("seed", range(8))
def test_an_idle_batcher_finds_what_is_pushed_once_its_connections_are_back(seed: int) -> None:
    assert max(seconds_taken(seed, (seed / 30,))) < SOON_S


@pytest.mark.parametrize("seed", range(8))
def test_replies_that_met_the_break_are_stored_once_the_connection_is_back(seed: int) -> None:
    assert max(seconds_taken(seed, AROUND_THE_BREAK_S)) < SOON_S
