"""Clients that call a simulated server themselves, and the traffic of those that send what was measured. Pure."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from random import Random

from autobatch_batcher.simulating.clients import RunHistory, SimulatedClients, SimulatedRequest, SimulatedTraffic
from autobatch_batcher.simulating.fixed_policies import EventTimeline
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_batcher.simulating.score import Score, score
from autobatch_batcher.simulating.simulated_upstream import SimulatedUpstream
from autobatch_batcher.simulating.workers import CALL_S

WARM_UP_SHARE = 0.2  # of a run: what ends in it does not count


class ListLoop:
    """A closed loop: each client asks again as soon as it is answered, for the next of these lists.

    Args:
        clients: How many.
        lists: The lengths of each request's inputs; after the last comes the first.
    """

    is_open = False

    def __init__(self, clients: int, lists: Sequence[tuple[int, ...]]) -> None:
        self._clients = clients
        self._lists = lists
        self._turns = count()

    def arrivals(self) -> Iterator[tuple[float, SimulatedRequest]]:
        """Yield the first request of each client, a hundredth of a millisecond apart."""
        for client in range(self._clients):
            yield client * 1e-5, self._next()

    def follows(self, asked: SimulatedRequest, now_s: float) -> SimulatedRequest:  # noqa: ARG002 - of a protocol
        """Return the next request."""
        return self._next()

    def _next(self) -> SimulatedRequest:
        return SimulatedRequest(self._lists[next(self._turns) % len(self._lists)])


def run_direct(law: SimulatedLaw, traffic: SimulatedTraffic, seconds: float, *, seed: int = 1) -> RunHistory:
    """Return what happens in so many seconds where nothing stands between the clients and the server."""
    timeline, history = EventTimeline(), RunHistory()
    upstream = SimulatedUpstream(law, Random(seed), timeline.at, timeline.now_s, history)  # noqa: S311 - no secrets

    def ask(number: int, asked: SimulatedRequest) -> None:
        timeline.at(timeline.now_s() + CALL_S, partial(upstream.call, asked.lengths, partial(done, number, asked)))

    def done(number: int, asked: SimulatedRequest, is_good: bool) -> None:  # noqa: FBT001 - of a callback
        clients.note_replied(len(asked.lengths) if is_good else 0)
        clients.answer(number, is_good=is_good)

    clients = SimulatedClients(traffic, timeline.at, timeline.now_s, ask, history)
    timeline.run_until(seconds)
    return history


def direct_score(law: SimulatedLaw, clients: int, lists: Sequence[tuple[int, ...]], seconds: float) -> Score:
    """Return what so many clients get directly that ask for these lists in turn."""
    history = run_direct(law, ListLoop(clients, lists), seconds)
    return score(history, WARM_UP_SHARE * seconds, seconds)
