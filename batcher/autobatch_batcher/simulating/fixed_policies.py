"""What fixed policies do with the same traffic and the same upstream: what the batchers are measured against. Pure.

A fixed policy sees the whole queue, knows its settings in advance, and pays for its round trips what a batcher pays.
"""

import heapq
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import Random

from autobatch_batcher.simulating.clients import RunHistory, SimulatedClients, SimulatedRequest, SimulatedTraffic
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_batcher.simulating.simulated_upstream import SimulatedUpstream
from autobatch_batcher.simulating.workers import CALL_S, CLAIM_S, PUSH_S, REPLY_S

CALLS = (1, 2, 4, 8)
SIZES = (1, 2, 4, 8, 16, 32)
WINDOWS = ((8, 2), (8, 10), (32, 2), (32, 10))  # inputs, ms
WINDOW_BATCHES = 8  # of the oldest, by length, a batch is cut; as infinity does
REFUSED_PAUSE_S = 0.05


NAME = re.compile(r"(fifo|sorted) ([1-9]\d{0,3}) x ([1-9]\d{0,2})(?:, (\d{1,5}) ms)?")


class PolicyError(ValueError):
    """There is no such fixed policy; the text says how one is named."""


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """Batches of one size, in a fixed number of calls.

    Attributes:
        inputs: The most inputs in a call.
        calls: The most calls in flight.
        wait_ms: How long the oldest waits for a full batch.
        is_sorted: Whether like lengths go together, the oldest always among them.
    """

    inputs: int
    calls: int
    wait_ms: int = 0
    is_sorted: bool = False

    @property
    def name(self) -> str:
        """What it is called in tables."""
        kind = "sorted" if self.is_sorted else "fifo"
        return f"{kind} {self.inputs} x {self.calls}" + (f", {self.wait_ms} ms" if self.wait_ms else "")


def policy_of(name: str) -> FixedPolicy:
    """Return the policy of a name.

    Raises:
        PolicyError: There is none.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise PolicyError(f"{name!r}: must be like `fifo 32 x 2`, `sorted 8 x 1` or `fifo 32 x 1, 10 ms`")
    kind, inputs, calls, wait_ms = found.groups()
    return FixedPolicy(int(inputs), int(calls), int(wait_ms or 0), kind == "sorted")


def fixed_policies(parallel: int = 1) -> Iterator[FixedPolicy]:
    """Yield every fixed policy for an upstream of so many places: one by one, fifo and sorted in each size, and windows (N, T)."""
    for calls in (*CALLS, parallel) if parallel > max(CALLS) else CALLS:
        for inputs in SIZES:
            yield FixedPolicy(inputs, calls)
            if inputs > 1:
                yield FixedPolicy(inputs, calls, is_sorted=True)
        yield from (FixedPolicy(inputs, calls, wait_ms) for inputs, wait_ms in WINDOWS)


class EventTimeline:
    """What happens when, where nothing needs an event loop."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now_s(self) -> float:
        """Return the time, from 0."""
        return self._now_s

    def at(self, when_s: float, happen: Callable[[], None]) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._events, (when_s, next(self._order), happen))

    def run_until(self, end_s: float) -> None:
        """Let everything happen that is due until then."""
        events = self._events
        while events and events[0][0] <= end_s:
            self._now_s, _, happen = heapq.heappop(events)
            happen()


class _Input:
    """One input of a request that waits."""

    __slots__ = ("at_s", "length", "number")

    def __init__(self, number: int, length: int, at_s: float) -> None:
        self.number = number
        self.length = length
        self.at_s = at_s


class _FixedBatcher:
    """Sends what waits as the policy says."""

    def __init__(
        self,
        policy: FixedPolicy,
        law: SimulatedLaw,
        traffic: SimulatedTraffic,
        timeline: EventTimeline,
        history: RunHistory,
        chance: Random,
    ) -> None:
        self._policy = policy
        self._timeline = timeline
        self._upstream = SimulatedUpstream(law, chance, timeline.at, timeline.now_s, history)
        self._waiting: deque[_Input] = deque()
        self._left: dict[int, int] = {}  # inputs of each request
        self._calls = 0
        self._looks_at_s = -1.0
        self._clients = SimulatedClients(traffic, timeline.at, timeline.now_s, self._ask, history)

    def _ask(self, number: int, asked: SimulatedRequest) -> None:
        self._left[number] = len(asked.lengths)
        self._timeline.at(self._timeline.now_s() + PUSH_S, lambda: self._arrived(number, asked))

    def _arrived(self, number: int, asked: SimulatedRequest) -> None:
        now_s = self._timeline.now_s()
        self._waiting.extend([_Input(number, length, now_s) for length in asked.lengths])
        self._look()

    def _look(self) -> None:
        policy, timeline = self._policy, self._timeline
        while self._calls < policy.calls and self._waiting:
            if policy.wait_ms and len(self._waiting) < policy.inputs:
                due_s = self._waiting[0].at_s + policy.wait_ms / 1000
                if timeline.now_s() < due_s - 1e-9:
                    if due_s != self._looks_at_s:
                        self._looks_at_s = due_s
                        timeline.at(due_s, self._look)
                    return
            batch = self._take()
            self._calls += 1
            timeline.at(timeline.now_s() + CLAIM_S + CALL_S, lambda batch=batch: self._send(batch))  # type: ignore[misc]

    def _take(self) -> list[_Input]:
        waiting, inputs = self._waiting, self._policy.inputs
        if not self._policy.is_sorted or len(waiting) <= inputs:
            return [waiting.popleft() for _ in range(min(inputs, len(waiting)))]
        oldest = list(islice(waiting, WINDOW_BATCHES * inputs))
        window = sorted(oldest, key=_length)
        place = window.index(oldest[0])
        begin = place - place % inputs
        batch = window[begin : begin + inputs]
        taken = set(batch)
        for _ in oldest:
            waiting.popleft()
        waiting.extendleft([each for each in reversed(oldest) if each not in taken])
        return batch

    def _send(self, batch: list[_Input]) -> None:
        self._upstream.call([each.length for each in batch], lambda is_good: self._done(batch, is_good))

    def _done(self, batch: list[_Input], is_good: bool) -> None:  # noqa: FBT001 - of a callback
        timeline = self._timeline
        if not is_good:
            self._waiting.extendleft(sorted(batch, key=_at, reverse=True))
            timeline.at(timeline.now_s() + REFUSED_PAUSE_S, self._free)
            return
        timeline.at(timeline.now_s() + REPLY_S, lambda: self._reply(batch))
        self._free()

    def _free(self) -> None:
        self._calls -= 1
        self._look()

    def _reply(self, batch: list[_Input]) -> None:
        self._clients.note_replied(len(batch))
        for each in batch:
            self._left[each.number] -= 1
            if not self._left[each.number]:
                del self._left[each.number]
                self._clients.answer(each.number, is_good=True)


def run_fixed(
    law: SimulatedLaw, traffic: SimulatedTraffic, policy: FixedPolicy, seconds: float, *, seed: int = 1
) -> RunHistory:
    """Return what happens in so many seconds under a fixed policy."""
    timeline, history = EventTimeline(), RunHistory()
    _FixedBatcher(policy, law, traffic, timeline, history, Random(seed))  # noqa: S311 - no secrets
    timeline.run_until(seconds)
    return history


def _length(each: _Input) -> int:
    return each.length


def _at(each: _Input) -> float:
    return each.at_s
