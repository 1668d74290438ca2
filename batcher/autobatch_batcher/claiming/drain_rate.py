"""How many inputs a second are answered while there is a backlog: what this batcher and its upstreams can do. Pure.

Requests are refused by this figure, so it may be unknown, but not too low by chance:

1. It is measured over calls and not over seconds: an upstream whose calls take two seconds answers nothing in one second
   and a whole call in the next.
2. It is the larger of the last two measurements, so no request is refused because of one.
3. Without a backlog the rate of answers is the rate of arrivals, and says nothing of what could be done.
4. What was measured some time ago is forgotten: an outage that is over refuses no request.
5. Nor does one that lasts: the time from the last good call before a failure to the first one after it does not count. An upstream
   that answers 500 for a second, and a few calls before and after it, is not one that answers a few calls a second.
"""

from typing import NamedTuple

CALLS_MIN, ROUNDS_MIN = 8, 5  # calls that end together are one event: with five such rounds it counts for a fifth
SPAN_MIN_S = 0.5  # calls of a millisecond come in bursts; all that comes in until it is measured twice may wait in vain
FORGOTTEN_S = 10.0  # without a backlog: the upstream may be another then


class AnsweredCall(NamedTuple):
    """A batch that has been answered.

    Attributes:
        ended_s: When, in seconds of any monotonic clock.
        inputs: Number of inputs that were computed: none where the deadline ended the call.
        calls: Number of calls that were in flight then, this one included.
        had_backlog: Whether more waited then than was in flight.
        has_failed: Whether the upstream failed, for another reason than the time that it had.
    """

    ended_s: float
    inputs: int
    calls: int
    had_backlog: bool
    has_failed: bool = False


class DrainRate:
    """Measured from the calls that were answered.

    Attributes:
        per_s: Inputs that are answered in a second; 0 while it is unknown.
        answered: The calls that were answered since the last look, in the order of their ends; the working loop adds them.
    """

    def __init__(self) -> None:
        self.per_s = 0.0
        self.answered: list[AnsweredCall] = []
        self._before_per_s = 0.0
        self._begun_s: float | None = None
        self._counted_s = 0.0  # until when the time counts
        self._is_interrupted = False
        self._inputs = self._calls = self._calls_max = 0
        self._backlog_s = float("-inf")

    def look(self, now_s: float) -> None:
        """Measure with what was answered since the last look."""
        answered, self.answered = self.answered, []
        for call in answered:
            self._note(call)
        if now_s - self._backlog_s > FORGOTTEN_S:
            self.per_s = self._before_per_s = 0.0
            self._begun_s = None

    def _note(self, call: AnsweredCall) -> None:
        if not call.had_backlog:
            self._begun_s = None
            return
        if call.has_failed:
            self._is_interrupted = True
            return
        self._backlog_s = call.ended_s
        if self._begun_s is None:
            self._begin(call.ended_s)
            return
        if self._is_interrupted:
            self._begun_s += call.ended_s - self._counted_s
            self._is_interrupted, self._counted_s = False, call.ended_s
            return
        self._counted_s = call.ended_s
        self._inputs += call.inputs
        self._calls += 1
        self._calls_max = max(self._calls_max, call.calls)
        span_s = call.ended_s - self._begun_s
        if self._calls >= max(CALLS_MIN, ROUNDS_MIN * self._calls_max) and span_s >= SPAN_MIN_S:
            if self._inputs:  # else deadlines ended all calls: what could be done is what could be done before
                measured = self._inputs / span_s
                self.per_s = max(measured, self._before_per_s) if self._before_per_s else 0.0
                self._before_per_s = measured
            self._begin(call.ended_s)

    def _begin(self, now_s: float) -> None:
        """Measure from the end of a call, which itself does not count."""
        self._begun_s = self._counted_s = now_s
        self._is_interrupted = False
        self._inputs = self._calls = self._calls_max = 0
