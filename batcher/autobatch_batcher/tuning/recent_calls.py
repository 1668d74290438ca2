"""What the last calls to one upstream took, at least and at most, when one is late, and why calls failed. Pure; times are passed in."""

from collections import Counter, deque
from collections.abc import Callable, Iterable

import msgspec

from autobatch_shared.contract.status import NO_ANSWER, FailedCalls
from autobatch_shared.watching.activity import RECENT_S
from autobatch_shared.watching.upstream_words import kind_of_cause

RECENT_CALLS_MAX = 16
LATE_TIMES, LATE_MIN_S = 3.0, 0.1  # the slowest of the last calls, for its size; a pause of a process is shorter
LATE_CALLS_MIN = 4
FRESH_S = 5.0  # after that the upstream may be another: what it did then says nothing
COUNTED_EVERY_S = 1.0
LAST_COUNTS_S = 60.0  # twice the longest pause of a breaker: a failure that is older is not why it is open

_Made = tuple[float, int, float]  # when the call ended, its units, its seconds


class CallTime(msgspec.Struct, frozen=True):
    """What a call takes, by its size.

    Attributes:
        any_s: Seconds of a call of any size: a larger call is not assumed to take longer than those that were seen.
        per_unit_s: Seconds for each unit, units and `fixed_units` together.
        fixed_units: Units that cost as much as a call costs whatever it carries.
        inputs: Inputs that the call will have, as long as the job's own, or the job's where these are more.
    """

    any_s: float
    per_unit_s: float
    fixed_units: float
    inputs: int = 1

    def ms(self, units: int) -> float:
        """Return the milliseconds that a call of so many units takes."""
        return 1000 * min(self.any_s, (self.fixed_units + units) * self.per_unit_s)

    def of_job_ms(self, inputs: int, longest: int) -> float:
        """Return the milliseconds that the call of a job takes, given its inputs and the length of its longest one."""
        return self.ms(max(inputs, self.inputs) * longest)


NO_CALL_SEEN = CallTime(0.0, 0.0, 0.0)


class RecentCalls:
    """The last calls to one upstream, and what a call takes, as they showed.

    By the least, jobs are dropped whose place no other job would take: a low estimate on purpose, as a dropped job that could
    have been answered is an error, while one that is sent in vain is only work. So each of the last good calls is a bound: one
    of this size took no longer, and a smaller one took less, by what size costs. The least of these bounds counts.

    By the most, jobs are dropped under backlog, where a call in vain costs other jobs theirs. A call that its deadline ended
    would have taken longer than it did, so it counts, too: by the good ones alone no call would ever be given more time.
    """

    def __init__(self) -> None:
        self._answered: deque[_Made] = deque(maxlen=RECENT_CALLS_MAX)
        self._made: deque[_Made] = deque(maxlen=RECENT_CALLS_MAX)  # the answered ones, and those in vain
        self._least = self._most = NO_CALL_SEEN
        self._most_per_unit_s = 0.0  # of those that were answered
        self._answered_s = self._made_s = float("-inf")

    def note(self, units: int, seconds: float, now_s: float, fixed_units: float) -> None:
        """Learn from a call of `units` units that was answered now; for `fixed_units` see `CallTime`."""
        _add(self._answered, (now_s, units, seconds))
        self._least = _call_time(self._answered, fixed_units, min)
        self._most_per_unit_s = _call_time(self._answered, fixed_units, max).per_unit_s
        self._answered_s = now_s
        self.note_made(units, seconds, now_s, fixed_units)

    def note_made(self, units: int, seconds: float, now_s: float, fixed_units: float) -> None:
        """Learn from a call that has ended now and would have taken no less time, as one does that its deadline ended."""
        _add(self._made, (now_s, units, seconds))
        self._most = _call_time(self._made, fixed_units, max)
        self._made_s = now_s

    def late_after_s(self, units: int) -> float | None:
        """Return after how many seconds a call of so many units is late; None while that is unknown."""
        if units == 0 or len(self._answered) < LATE_CALLS_MIN:
            return None
        return max(LATE_MIN_S, LATE_TIMES * (self._least.fixed_units + units) * self._most_per_unit_s)

    def least(self, now_s: float) -> CallTime:
        """Return what a call takes at least; nothing is known of an upstream that was not called lately."""
        return self._least if now_s - self._answered_s <= FRESH_S else NO_CALL_SEEN

    def most(self, now_s: float, inputs: int) -> CallTime:
        """Return what a call of so many inputs takes at most; nothing is known of an upstream that was not called lately."""
        most = self._most if now_s - self._made_s <= FRESH_S else NO_CALL_SEEN
        return CallTime(most.any_s, most.per_unit_s, most.fixed_units, inputs)


def _add(calls: deque[_Made], call: _Made) -> None:
    calls.append(call)
    while calls[0][0] < call[0] - FRESH_S:
        calls.popleft()


def _call_time(calls: Iterable[_Made], fixed_units: float, of: Callable[[list[float]], float]) -> CallTime:
    any_s = of([took_s for _, _, took_s in calls])
    return CallTime(any_s, of([took_s / (fixed_units + units) for _, units, took_s in calls]), fixed_units)


class RecentFailures:
    """How many calls to one upstream failed lately, and why.

    A call that succeeds only adds one to `calls`; all else is done when a call fails, or when it is reported.

    Attributes:
        calls: Number of calls that have ended, since the start.
        causes: How many of them failed, by the kind of their cause.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.causes: Counter[str] = Counter()
        self._last, self._last_s, self._waited_s = "", float("-inf"), 0.0
        #: What was known when: the first is about RECENT_S ago.
        self._seen = deque([(float("-inf"), 0, Counter[str]())])

    @property
    def last(self) -> str:
        """The kind of the cause of the last call that failed; empty: none did yet."""
        return self._last

    def failed(self, cause: str, took_s: float, now_s: float) -> None:
        """Take note of a call that failed, and of its cause: see `UpstreamError.cause`."""
        self._last, self._last_s = kind_of_cause(cause), now_s
        self.causes[self._last] += 1
        if self._last == NO_ANSWER:
            self._waited_s = took_s

    def recent(self, now_s: float, *, are_all: bool) -> FailedCalls | None:
        """Return how calls failed in the last RECENT_S seconds; None: none did.

        Args:
            now_s: The time now, in seconds of the loop's clock.
            are_all: Whether calls fail one after the other: then one that was longer ago counts, too.
        """
        seen = self._seen
        if now_s - seen[-1][0] >= COUNTED_EVERY_S:
            seen.append((now_s, self.calls, self.causes.copy()))
        while len(seen) > 1 and seen[1][0] <= now_s - RECENT_S:
            seen.popleft()
        _, calls, causes = seen[0]
        lately = self.causes - causes
        if not lately and not (are_all and now_s - self._last_s <= LAST_COUNTS_S):
            return None
        last_ms = int((now_s - self._last_s) * 1000)
        return FailedCalls(self.calls - calls, dict(lately), self._last, last_ms, self._waited_s)
