"""An upstream that computes nothing and takes as long as its law says. Pure; it is told how to let something happen later."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from autobatch_batcher.simulating.clients import At, RunHistory, Sent
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_shared.contract.cards import UNKNOWN_MAX, Card

REFUSAL_S = 0.0005  # a 429 is answered without the model

CallEnded = Callable[[bool], None]  # whether the call was answered, rather than refused


@dataclass(slots=True)
class _Queued:
    """A call: inputs before `begun` were in a pass, and `left` have not been computed."""

    lengths: Sequence[int]
    done: CallEnded
    came_s: float
    begun: int = 0
    left: int = 0


#: Of a pass: the inputs of a call from one place to another.
_Part = tuple[_Queued, int, int]


class SimulatedUpstream:
    """Takes calls in the order of their arrival, `law.parallel` passes at a time.

    Attributes:
        card: What it says of itself.

    Args:
        law: What passes take.
        chance: Where noise comes from.
        at: Lets something happen at a time.
        now_s: Returns the time.
        history: Where calls are noted.
    """

    def __init__(
        self, law: SimulatedLaw, chance: Random, at: At, now_s: Callable[[], float], history: RunHistory
    ) -> None:
        self.card = Card(pass_inputs_max=law.said_pass_inputs or UNKNOWN_MAX)
        self._law = law
        self._chance = chance
        self._at = at
        self._now_s = now_s
        self._history = history
        self._began_s = now_s()
        self._queue: deque[_Queued] = deque()
        self._ready: deque[list[_Part]] = deque()
        self._running = self._passes = self._in_flight_inputs = 0

    def call(self, lengths: Sequence[int], done: CallEnded) -> None:
        """Take a call; `done` is told once it is answered, or refused."""
        inputs = len(lengths)
        inputs_max = self._law.in_flight_inputs_max
        if inputs_max and self._in_flight_inputs + inputs > inputs_max:
            self._at(self._now_s() + REFUSAL_S, lambda: done(False))
            return
        now_s = self._now_s()
        self._history.calls.append(Sent(now_s - self._began_s, inputs, max(lengths), sum(lengths)))
        self._in_flight_inputs += inputs
        queued = _Queued(lengths, done, now_s, left=inputs)
        if self._law.beside_ms:
            self._at(now_s + self._law.beside_ms / 1e3, lambda: self._take(queued))
        else:
            self._take(queued)

    def _take(self, queued: _Queued) -> None:
        self._queue.append(queued)
        self._begin(self._law.first_inputs or self._law.pass_inputs_max)

    def _begin(self, inputs_max: int) -> None:
        """Begin as many passes as can run, and make up those that run next; a pass that is made up now has so many inputs, 0: all of a call's."""
        law = self._law
        while True:
            while self._queue and self._running + len(self._ready) < law.parallel + law.passes_ahead:
                self._ready.append(self._take_pass(inputs_max))
            if not self._ready or self._running == law.parallel:
                return
            parts = self._ready.popleft()
            lengths = [length for call, begun, end in parts for length in call.lengths[begun:end]]
            now_s = self._now_s()
            takes_s = law.pass_s(lengths, self._passes, now_s - self._began_s, self._chance)
            takes_s += law.per_call_ms / 1e3 * sum(not begun for _, begun, _ in parts)
            self._passes += 1
            self._running += 1
            self._at(now_s + takes_s, lambda parts=parts: self._end(parts))  # type: ignore[misc]

    def _take_pass(self, inputs_max: int) -> list[_Part]:
        parts = []
        room = inputs_max or len(self._queue[0].lengths)
        while room and self._queue:
            call = self._queue[0]
            end = min(len(call.lengths), call.begun + room)
            parts.append((call, call.begun, end))
            room -= end - call.begun
            call.begun = end
            if end == len(call.lengths):
                self._queue.popleft()
        return parts

    def _end(self, parts: Sequence[_Part]) -> None:
        self._running -= 1
        self._begin(self._law.pass_inputs_max)
        for call, begun, end in parts:
            self._in_flight_inputs -= end - begun
            call.left -= end - begun
            if not call.left:
                self._history.calls_s += self._now_s() - call.came_s
                call.done(True)
