"""Who asks for what, when: the simulated clients, and what became of each of their requests. Pure; times are passed in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from typing import NamedTuple, Protocol

At = Callable[[float, Callable[[], None]], object]  # let something happen at a time


class SimulatedRequest(NamedTuple):
    """A request.

    Attributes:
        lengths: Length of each of its inputs, in units of the law.
        is_bulk: Whether it may wait for spare capacity.
        client: Which client asks, where one asks again once it is answered.
    """

    lengths: tuple[int, ...]
    is_bulk: bool = False
    client: int = 0


class SimulatedTraffic(Protocol):
    """The requests of a run. Each run begins anew: equal runs get equal requests.

    Attributes:
        is_open: Whether requests arrive whatever becomes of those before.
    """

    is_open: bool

    def arrivals(self) -> Iterator[tuple[float, SimulatedRequest]]:
        """Yield what arrives by itself, with its time in seconds from the beginning, in order."""

    def follows(self, asked: SimulatedRequest, now_s: float) -> SimulatedRequest | None:
        """Return what the client of this request asks next, once it is answered, `now_s` seconds from the beginning; None: nothing."""


class AnsweredRequest(NamedTuple):
    """A request that was answered.

    Attributes:
        sent_s: When it was made.
        ended_s: When its answer came.
        asked: What it was.
        is_good: Whether it was computed.
    """

    sent_s: float
    ended_s: float
    asked: SimulatedRequest
    is_good: bool


class Sent(NamedTuple):
    """A call that an upstream took.

    Attributes:
        at_s: When.
        inputs: Number of its inputs.
        longest: Length of the longest.
        useful: Sum of their lengths.
    """

    at_s: float
    inputs: int
    longest: int
    useful: int


@dataclass(slots=True)
class RunHistory:
    """What happened in a run, in seconds from its beginning.

    Attributes:
        arrived: When the requests of an open loop arrived, in order, with the number of their inputs.
        replied: When inputs were answered, in order, and how many; those of one request may be several parts.
        answered: The requests that were answered, in order.
        calls: The calls that the upstreams took.
        calls_s: How long those took that were answered, all together.
    """

    arrived: list[tuple[float, int]] = field(default_factory=list)
    replied: list[tuple[float, int]] = field(default_factory=list)
    answered: list[AnsweredRequest] = field(default_factory=list)
    calls: list[Sent] = field(default_factory=list)
    calls_s: float = 0.0


class SimulatedClients:
    """All clients of a run.

    Args:
        traffic: What they ask for.
        at: Lets something happen at a time.
        now_s: Returns the time.
        ask: Takes a request and its number, which `answer` is told.
        history: Where answers are noted.
        refused_pause_s: How long a client whose request was not answered well waits before it asks again.
    """

    def __init__(
        self,
        traffic: SimulatedTraffic,
        at: At,
        now_s: Callable[[], float],
        ask: Callable[[int, SimulatedRequest], None],
        history: RunHistory,
        refused_pause_s: float = 0.0,
    ) -> None:
        self._traffic = traffic
        self._at = at
        self._now_s = now_s
        self._ask = ask
        self._history = history
        self._refused_pause_s = refused_pause_s
        self._open: dict[int, tuple[float, SimulatedRequest]] = {}
        self._numbers = count()
        self._began_s = now_s()
        self._arrivals = traffic.arrivals()
        self._let_next_arrive()

    def note_replied(self, inputs: int) -> None:
        """Take note that so many inputs were computed and answered."""
        self._history.replied.append((self._now_s() - self._began_s, inputs))

    def answer(self, number: int, *, is_good: bool) -> None:
        """Take the answer to a request, and ask what its client asks next."""
        sent_s, asked = self._open.pop(number)
        now_s = self._now_s() - self._began_s
        self._history.answered.append(AnsweredRequest(sent_s, now_s, asked, is_good))
        if (following := self._traffic.follows(asked, now_s)) is None:
            return
        if is_good or not self._refused_pause_s:
            self._send(following)
        else:
            self._at(self._now_s() + self._refused_pause_s, partial(self._send, following))

    def _let_next_arrive(self) -> None:
        arrival = next(self._arrivals, None)
        if arrival is not None:
            self._at(self._began_s + arrival[0], lambda: self._arrive(arrival[1]))

    def _arrive(self, asked: SimulatedRequest) -> None:
        self._let_next_arrive()
        if self._traffic.is_open:
            self._history.arrived.append((self._now_s() - self._began_s, len(asked.lengths)))
        self._send(asked)

    def _send(self, asked: SimulatedRequest) -> None:
        number = next(self._numbers)
        self._open[number] = self._now_s() - self._began_s, asked
        self._ask(number, asked)


class TimedArrivals:
    """An open loop: requests arrive when they arrive, whatever becomes of those before.

    Args:
        arrivals: Each with its time in seconds from the beginning, in order.
    """

    is_open = True

    def __init__(self, arrivals: Sequence[tuple[float, SimulatedRequest]]) -> None:
        self._arrivals = arrivals

    def arrivals(self) -> Iterator[tuple[float, SimulatedRequest]]:
        """Yield them."""
        return iter(self._arrivals)

    def follows(self, asked: SimulatedRequest, now_s: float) -> SimulatedRequest | None:  # noqa: ARG002 - of a protocol
        """Return None: no client waits for an answer to ask again."""
        return None


class ClosedLoop:
    """A closed loop: each client asks again as soon as it is answered.

    Args:
        clients: How many.
        lengths: Yields the length of one request after the other.
        bulk_clients: How many others send bulk requests.
        bulk_inputs: Inputs in each of these.
    """

    is_open = False

    def __init__(self, clients: int, lengths: Iterator[int], *, bulk_clients: int = 0, bulk_inputs: int = 256) -> None:
        self._clients = clients
        self._lengths = lengths
        self._bulk_clients = bulk_clients
        self._bulk_inputs = bulk_inputs

    def arrivals(self) -> Iterator[tuple[float, SimulatedRequest]]:
        """Yield the first request of each client, a hundredth of a millisecond apart."""
        for client in range(self._clients + self._bulk_clients):
            yield client * 1e-5, self._next(client)

    def follows(self, asked: SimulatedRequest, now_s: float) -> SimulatedRequest:  # noqa: ARG002 - of a protocol
        """Return its client's next request."""
        return self._next(asked.client)

    def _next(self, client: int) -> SimulatedRequest:
        if client < self._clients:
            return SimulatedRequest((next(self._lengths),), client=client)
        return SimulatedRequest(tuple(islice(self._lengths, self._bulk_inputs)), is_bulk=True, client=client)
