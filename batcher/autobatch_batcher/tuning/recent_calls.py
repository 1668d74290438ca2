"""What the last calls to an upstream took, and so the least that a call takes, and when one is late. Pure; times are passed in."""

from collections import deque

import msgspec

RECENT_CALLS_MAX = 16
LATE_TIMES, LATE_MIN_S = 3.0, 0.1  # the slowest of the last calls, for its size; a pause of a process is shorter
LATE_CALLS_MIN = 4
FRESH_S = 5.0  # after that the upstream may be another: what it did then says nothing


class LeastCall(msgspec.Struct, frozen=True):
    """What a call takes at least.

    Attributes:
        any_s: Seconds of the fastest of the last calls: a larger call is not assumed to take longer.
        per_unit_s: Seconds that a unit takes at least, units and `fixed_units` together.
        fixed_units: Units that cost as much as a call costs whatever it carries.
    """

    any_s: float
    per_unit_s: float
    fixed_units: float

    def ms(self, units: int) -> float:
        """Return the milliseconds that a call of so many units takes at least."""
        return 1000 * min(self.any_s, (self.fixed_units + units) * self.per_unit_s)


NO_CALL_SEEN = LeastCall(0.0, 0.0, 0.0)


class RecentCalls:
    """The last good calls to one upstream, and the least that a call takes, as they showed.

    A low estimate on purpose: it decides which jobs are dropped, and a dropped job that could have been answered is an
    error, while one that is sent in vain is only work. So each of the last calls is a bound: one of this size took no longer,
    and a smaller one took less, by what size costs. The least of these bounds counts.
    """

    def __init__(self) -> None:
        self._calls: deque[tuple[float, int, float]] = deque(maxlen=RECENT_CALLS_MAX)  # (end, units, seconds)
        self._least = NO_CALL_SEEN
        self._most_per_unit_s = 0.0
        self._noted_s = float("-inf")

    def note(self, units: int, seconds: float, now_s: float, fixed_units: float) -> None:
        """Learn from a call of `units` units that has ended now; for `fixed_units` see `LeastCall`."""
        calls = self._calls
        calls.append((now_s, units, seconds))
        while calls[0][0] < now_s - FRESH_S:
            calls.popleft()
        any_s = min([took_s for _, _, took_s in calls])
        per_unit_s = min([took_s / (fixed_units + size) for _, size, took_s in calls])
        self._most_per_unit_s = max([took_s / (fixed_units + size) for _, size, took_s in calls])
        self._least = LeastCall(any_s, per_unit_s, fixed_units)
        self._noted_s = now_s

    def late_after_s(self, units: int) -> float | None:
        """Return after how many seconds a call of so many units is late; None while that is unknown."""
        if units == 0 or len(self._calls) < LATE_CALLS_MIN:
            return None
        return max(LATE_MIN_S, LATE_TIMES * (self._least.fixed_units + units) * self._most_per_unit_s)

    def slowest_s(self, now_s: float) -> float:
        """Return the seconds of the slowest of the last calls; 0 for an upstream that was not called lately."""
        return max([took_s for ended_s, _, took_s in self._calls if now_s - ended_s <= FRESH_S], default=0.0)

    def least(self, now_s: float) -> LeastCall:
        """Return what a call takes at least; nothing is known of an upstream that was not called lately."""
        return self._least if now_s - self._noted_s <= FRESH_S else NO_CALL_SEEN
