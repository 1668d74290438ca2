"""What the calls to one upstream teach, and how to call it next. Pure; times are passed in.

A call costs `fixed + per_unit * units`, where units are its inputs times the longest of them: what a padded model
computes. Both are fitted to the last calls. Their quotient says how much padding one more call would be worth.

Service is counted from the completion before, when that came after the call's start: so a call that waited behind
another at the upstream is not charged for that wait, and calls that run at the same time share the time they take.
"""

from collections import deque

import msgspec

from autobatch_batcher.upstreams.climbing import Climber, Setting
from autobatch_batcher.upstreams.limits import BatchShape

MEMORY = 0.98  # weight of the past at each call: about the last fifty count
CALLS_MIN = 8  # before that the defaults are better than a fit
SPREAD_MIN = 0.1  # calls of like size say nothing about the price of size
FIXED_DEFAULT_S = 0.002
PADDING_DEFAULT = 128.0  # characters; 1.5 ms against 13 us a character of MiniLM on two cores
PADDING_MIN, PADDING_MAX = 16.0, 8192.0
GAP_MAX_S = 0.02  # a longer one is a pause, though there was work before and after it
RECENT_CALLS_MAX = 16
LATE_TIMES, LATE_MIN_S = 3.0, 0.1  # the slowest of the last calls, for its size; a pause of a process is shorter
LATE_CALLS_MIN = 4
FRESH_S = 5.0  # after that the upstream may be another: what it did then says nothing


class CostModel:
    """Least squares with forgetting, over (units, seconds) of calls."""

    def __init__(self) -> None:
        self.fixed_s = FIXED_DEFAULT_S
        self.padding_max = PADDING_DEFAULT
        self._calls = 0
        self._weight = 0.0
        self._units = self._seconds = 0.0  # means
        self._units_squared = self._seconds_squared = self._product = 0.0  # weighted sums of deviations

    def note(self, units: float, seconds: float) -> None:
        """Learn from one call."""
        self._calls += 1
        self._weight = self._weight * MEMORY + 1.0
        self._units_squared *= MEMORY
        self._seconds_squared *= MEMORY
        self._product *= MEMORY
        by_units = units - self._units
        self._units += by_units / self._weight
        by_seconds = seconds - self._seconds
        self._seconds += by_seconds / self._weight
        self._seconds_squared += by_seconds * (seconds - self._seconds)
        self._units_squared += by_units * (units - self._units)
        self._product += by_units * (seconds - self._seconds)
        if self._calls >= CALLS_MIN and self._units_squared > self._weight * (SPREAD_MIN * self._units) ** 2:
            self._fit()

    @property
    def fit(self) -> float:
        """How much of what calls took is explained by their size, 0 to 1; less than 0 where larger calls take less."""
        deviations = self._units_squared * self._seconds_squared
        return self._product * abs(self._product) / deviations if deviations else 0.0

    def _fit(self) -> None:
        per_unit = self._product / self._units_squared
        if per_unit <= 0:  # size costs nothing: padding neither
            self.fixed_s, self.padding_max = self._seconds, PADDING_MAX
            return
        self.fixed_s = max(0.0, self._seconds - per_unit * self._units)
        self.padding_max = min(max(self.fixed_s / per_unit, PADDING_MIN), PADDING_MAX)


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

    def least(self, now_s: float) -> LeastCall:
        """Return what a call takes at least; nothing is known of an upstream that was not called lately."""
        return self._least if now_s - self._noted_s <= FRESH_S else NO_CALL_SEEN


class Sample(msgspec.Struct, frozen=True):
    """One good call.

    Attributes:
        setting: The setting that was in use when it was made.
        units: Its inputs times the length of the longest; 0 where lengths are unknown.
        useful: Sum of its inputs' lengths.
        started_s: When it began, in seconds of any monotonic clock.
        ended_s: When its answer was in, in seconds of the same clock.
        was_busy: Whether there was other work for the upstream when it was made.
    """

    setting: Setting
    units: int
    useful: int
    started_s: float
    ended_s: float
    was_busy: bool


class Tuner:
    """Learns from the calls to one upstream how to call it.

    Attributes:
        cost: What calls cost, by the model that fits better: they wait for each other, or they run side by side.
        setting: How many calls to make at once, and how large.
        shape: How the lengths of the next batch are bounded.
        recent: What the last calls took.

    Args:
        calls_max: The most calls in flight, as configured.
        is_fixed: Whether to call as configured, in the order of arrival, whatever is learnt.
    """

    def __init__(self, calls_max: int, *, is_fixed: bool = False) -> None:
        self._one_by_one = CostModel()
        self._side_by_side = CostModel()
        self._climber = Climber(calls_max)
        self._is_fixed = is_fixed
        self._last_ended_s = float("-inf")
        self._was_busy = False
        self.cost = self._one_by_one
        self.recent = RecentCalls()
        self.setting = Setting(calls_max, None)
        self.shape = BatchShape(None, None)
        self._choose()

    def note(self, sample: Sample) -> None:
        """Learn from a call, in the order of completion."""
        service_s = sample.ended_s - max(sample.started_s, self._last_ended_s)
        gap_s = max(0.0, sample.started_s - self._last_ended_s)
        # Work was waiting: that none was done in between is the price of so few calls in flight.
        idle_s = gap_s if sample.was_busy and self._was_busy and gap_s <= GAP_MAX_S else 0.0
        self._last_ended_s, self._was_busy = sample.ended_s, sample.was_busy
        if sample.units == 0:
            return  # of unknown length
        self._one_by_one.note(sample.units, service_s)
        self._side_by_side.note(sample.units, sample.ended_s - sample.started_s)
        self.cost = max(self._one_by_one, self._side_by_side, key=lambda model: model.fit)
        self.recent.note(sample.units, sample.ended_s - sample.started_s, sample.ended_s, self.cost.padding_max)
        if sample.was_busy:
            self._climber.note(sample.setting, sample.units, sample.useful, service_s + idle_s)
        elif self._climber.is_trying:
            self._climber.note_idle(sample.setting)
        self._choose()

    def _choose(self) -> None:
        """Take over what was found, unless the configured way is to stay."""
        if not self._is_fixed:
            self.setting = self._climber.setting
            self.shape = BatchShape(self.cost.padding_max, self.setting.units_max)
