"""One batcher calls the upstream; when it dies, stops or is slow, the next one soon calls."""

from collections.abc import Callable
from math import inf

import pytest

from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import ModelUpstream
from tests.simulation.virtual import virtual

SETTLED_S, LOADED_S, END_S = 2.0, 3.0, 8.0
EVERY_S, TIMEOUT_S = 0.02, 5.0
AT_ONCE_S = 0.3  # two calls, and a look of the batcher that takes over
TAKEN_OVER_S = 1.4  # reports that are missed, a look, and what has come meanwhile
FOUND_OUT_S = 0.1  # until the one on duty has called: what it claims meanwhile is its own
LEASE_S = 3.5  # what a batcher died with: its lease, a beat of another one, and what has come meanwhile


class LoadedFleet:
    """Batchers at one upstream, and a request every 20 ms.

    Attributes:
        batchers: All that were started.
        routes: The upstream as each of them reaches it.
        waited_s: Seconds that each request waited for its row, by when it was asked; infinity: it got none.
    """

    def __init__(self, timeline: Timeline, batchers: int) -> None:
        self.timeline = timeline
        self.network = Network(timeline, ModelServer(timeline))
        self.batchers: list[SimulatedBatcher] = []
        self.routes: list[ModelUpstream] = []
        self.waited_s: dict[float, float] = {}
        self.asked = 0
        for _ in range(batchers):
            self.join()
        self._worker = SimulatedWorker(timeline, self.network, "w1")

    def join(self, name: str = "b") -> None:
        """Start one more batcher; they take over in the order of their names."""
        self.routes.append(ModelUpstream(self.timeline, "upstream"))
        name += str(len(self.batchers))
        self.batchers.append(SimulatedBatcher(self.timeline, self.network, name, self.routes[-1:]))

    def on_duty(self) -> int:
        """Return which batcher calls."""
        return next(place for place, each in enumerate(self.batchers) if not each.pool.stands_by)

    def play(self, act: Callable[["LoadedFleet"], None], phase_s: float) -> list[float]:
        """Return the seconds that requests waited which were asked before `act` was felt, and after it."""
        timeline = self.timeline
        acted_s = timeline.now_s + LOADED_S + phase_s
        known_s = acted_s + FOUND_OUT_S
        for number in range(int((END_S - SETTLED_S) / EVERY_S)):
            timeline.at(timeline.now_s + SETTLED_S + number * EVERY_S, self._ask)
        timeline.run_until(acted_s)
        act(self)
        timeline.run_until(acted_s + END_S + TIMEOUT_S)
        return [
            max(waited_s for asked_s, waited_s in self.waited_s.items() if is_after == (asked_s > known_s))
            for is_after in (False, True)
        ]

    def _ask(self) -> None:
        self.asked += 1
        self._worker.loop.create_task(self._asked(f"text {self.asked}"))

    async def _asked(self, text: str) -> None:
        asked_s = self.timeline.now_s
        self.waited_s[asked_s] = inf
        replies = await self._worker.ask([text], TIMEOUT_S)
        if [header.status for header, _ in replies] == [200]:
            self.waited_s[asked_s] = self.timeline.now_s - asked_s


def kill(fleet: LoadedFleet) -> None:
    batcher = fleet.batchers[fleet.on_duty()]
    batcher.loop.crash()
    fleet.network.cut(batcher.loop.name)


def pause(fleet: LoadedFleet) -> None:
    loop = fleet.batchers[fleet.on_duty()].loop
    loop.pause()
    fleet.timeline.after(3.0, loop.resume)


def stop(fleet: LoadedFleet) -> None:
    fleet.batchers[fleet.on_duty()].stop()


def cut_from_redis(fleet: LoadedFleet) -> None:
    name = fleet.batchers[fleet.on_duty()].loop.name
    fleet.network.hold([name], fleet.timeline.now_s + 3.0)


def cut_from_upstream(fleet: LoadedFleet) -> None:
    fleet.routes[fleet.on_duty()].stop()


def join_last(fleet: LoadedFleet) -> None:
    fleet.join()


def join_first(fleet: LoadedFleet) -> None:
    fleet.join("a")


def join_without_upstream(fleet: LoadedFleet) -> None:
    fleet.join()
    fleet.routes[-1].stop()


def join_and_leave(fleet: LoadedFleet) -> None:
    """A rolling restart."""
    fleet.join("a")
    for place, batcher in enumerate(fleet.batchers[:-1]):
        fleet.timeline.after(1.0 + place, batcher.stop)


PHASES_S = [0.0, 0.17, 0.41, 0.66, 0.93]  # of the reports, of which a request knows nothing


@pytest.mark.parametrize("phase_s", PHASES_S)
@pytest.mark.parametrize("batchers", [1, 2, 3])
@pytest.mark.parametrize("act", [join_first, join_last, join_without_upstream, join_and_leave])
def test_no_request_waits_when_a_batcher_joins_or_leaves(
    act: Callable[[LoadedFleet], None], batchers: int, phase_s: float
) -> None:
    waits_s = played(act, batchers, phase_s)
    assert max(waits_s) < AT_ONCE_S


@pytest.mark.parametrize("phase_s", PHASES_S)
@pytest.mark.parametrize("batchers", [2, 3])
@pytest.mark.parametrize("act", [stop, cut_from_upstream])
def test_the_next_batcher_calls_at_once_if_one_says_that_it_cannot(
    act: Callable[[LoadedFleet], None], batchers: int, phase_s: float
) -> None:
    """What it had claimed waits for it, until its upstream is back or its patience has ended."""
    _, after_s = played(act, batchers, phase_s)
    assert after_s < AT_ONCE_S


@pytest.mark.parametrize("phase_s", PHASES_S)
@pytest.mark.parametrize("batchers", [2, 3])
@pytest.mark.parametrize("act", [kill, pause, cut_from_redis])
def test_the_next_batcher_calls_within_a_second_if_one_says_nothing_any_more(
    act: Callable[[LoadedFleet], None], batchers: int, phase_s: float
) -> None:
    before_s, after_s = played(act, batchers, phase_s)
    assert after_s < TAKEN_OVER_S
    assert before_s < LEASE_S


def played(act: Callable[[LoadedFleet], None], batchers: int, phase_s: float) -> list[float]:
    timeline = Timeline(1)
    with virtual(timeline):
        waits_s = LoadedFleet(timeline, batchers).play(act, phase_s)
        timeline.close()
    return waits_s
