"""How many inputs a second are answered while there is a backlog: what this batcher and its upstreams can do. Pure.

Requests are refused by this figure, so it may be unknown, but not too low:

1. It is measured over calls and not over seconds: an upstream whose calls take two seconds answers nothing in one second
   and a whole call in the next.
2. It is the larger of the last two measurements, so no request is refused because of one.
3. It is measured while more waits than a call carries. Otherwise the rate of answers is the rate of arrivals, which says what
   can be done at least: a figure that is below it is of another time, and is forgotten.
4. What was measured some time ago is forgotten: the upstream may be another by now.
5. So is what was measured before an interruption: half a second or more, and three times as long as a call takes, in which calls
   failed, or Redis did, and none was answered. The time of a shorter one does not count. An upstream that answers 500 for a second, and a few calls before and after it, is
   not one that answers a few calls a second; nor is one that was slow before it failed slow for that when it is back.
6. So is what was measured before calls showed that an upstream became faster: what waits is refused by it no longer.
"""

from typing import NamedTuple

CALLS_MIN, ROUNDS_MIN = 8, 5  # calls that end together are one event: with five such rounds it counts for a fifth
SPAN_MIN_S = 0.5  # calls of a millisecond come in bursts; all that comes in until it is measured twice may wait in vain
FORGOTTEN_S = 10.0  # without a backlog
INTERRUPTED_S, INTERRUPTED_CALLS = 0.5, 3.0  # less is a retry, or a pause after 429: part of what an upstream does
EXCEEDED_TIMES = 1.25  # by less two measurements of the same differ


class AnsweredCall(NamedTuple):
    """A batch that has been answered.

    Attributes:
        ended_s: When, in seconds of any monotonic clock.
        inputs: Number of inputs that were computed: none where the deadline ended the call.
        calls: Number of calls that were in flight then, this one included.
        had_backlog: Whether more waited then than a call carries.
        has_failed: Whether nothing was computed, for another reason than the time that it had.
        is_faster: Whether it is known since the call before that an upstream answers faster than it did.
    """

    ended_s: float
    inputs: int
    calls: int
    had_backlog: bool
    has_failed: bool = False
    is_faster: bool = False


class _Measurement:
    """What was answered since the end of a call, which itself does not count."""

    def __init__(self, first: AnsweredCall) -> None:
        self.had_backlog = first.had_backlog  # at the end of each call
        self.inputs = 0
        self._begun_s = self._ended_s = first.ended_s
        self._calls = self._calls_max = 0

    def add(self, call: AnsweredCall) -> None:
        self.inputs += call.inputs
        self.had_backlog &= call.had_backlog
        self._ended_s = call.ended_s
        self._calls += 1
        self._calls_max = max(self._calls_max, call.calls)

    def leave_out(self, until_s: float) -> None:
        """The time since the last call does not count."""
        self._begun_s += until_s - self._ended_s
        self._ended_s = until_s

    @property
    def is_over(self) -> bool:
        is_enough = self._calls >= max(CALLS_MIN, ROUNDS_MIN * self._calls_max)
        return is_enough and self._ended_s - self._begun_s >= SPAN_MIN_S

    @property
    def call_s(self) -> float:
        return (self._ended_s - self._begun_s) * self._calls_max / self._calls

    @property
    def per_s(self) -> float:
        return self.inputs / (self._ended_s - self._begun_s)


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
        self._measurement: _Measurement | None = None
        self._good_s = float("-inf")  # the end of the last call that did not fail
        self._is_interrupted = False
        self._call_s = 0.0
        self._backlog_s = float("-inf")

    def look(self, now_s: float) -> None:
        """Measure with what was answered since the last look."""
        answered, self.answered = self.answered, []
        for call in answered:
            self._note(call)
        if self._is_lasting(now_s) or now_s - self._backlog_s > FORGOTTEN_S:
            self._forget()

    def interrupt(self, now_s: float) -> None:
        """Take note that nothing can be answered now, for another reason than the upstream."""
        self.answered.append(AnsweredCall(now_s, 0, 0, had_backlog=False, has_failed=True))

    def _is_lasting(self, now_s: float) -> bool:
        lasting_s = max(INTERRUPTED_S, INTERRUPTED_CALLS * self._call_s)
        return self._is_interrupted and now_s - self._good_s >= lasting_s

    def _note(self, call: AnsweredCall) -> None:
        if call.has_failed:
            self._is_interrupted = True
            return
        measurement = self._measurement
        if call.is_faster or self._is_lasting(call.ended_s):
            self._forget()
        elif measurement is not None and call.had_backlog and not measurement.had_backlog:
            self._measurement = None  # a backlog begins
        elif measurement is not None and self._is_interrupted:
            measurement.leave_out(call.ended_s)
        elif measurement is not None:
            measurement.add(call)
            self._call_s = measurement.call_s
        self._is_interrupted, self._good_s = False, call.ended_s
        if call.had_backlog:
            self._backlog_s = call.ended_s
        if self._measurement is not None and self._measurement.is_over:
            self._judge(self._measurement)
            self._measurement = None
        if self._measurement is None:
            self._measurement = _Measurement(call)

    def _judge(self, measured: _Measurement) -> None:
        if not measured.inputs:
            return  # deadlines ended all calls: what could be done is what could be done before
        if measured.had_backlog:
            self.per_s = max(measured.per_s, self._before_per_s) if self._before_per_s else 0.0
            self._before_per_s = measured.per_s
        elif measured.per_s > EXCEEDED_TIMES * max(self.per_s, self._before_per_s):
            self.per_s = self._before_per_s = 0.0

    def _forget(self) -> None:
        self.per_s = self._before_per_s = 0.0
        self._measurement = None
