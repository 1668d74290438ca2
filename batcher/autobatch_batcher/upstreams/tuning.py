"""What the calls to one upstream teach, and how to call it next. Pure; times are passed in."""

import msgspec

from autobatch_batcher.forming.shaping import BatchShape
from autobatch_batcher.upstreams.climbing import Climber, Setting
from autobatch_batcher.upstreams.cost import CostModel

GAP_MAX_S = 0.02  # a longer one is a pause, though there was work before and after it


class Sample(msgspec.Struct, frozen=True):
    """One good call.

    Attributes:
        setting: In use when it was made.
        units: Its inputs times the longest.
        useful: Sum of its inputs' lengths.
        started_s: On any clock.
        ended_s: On the same clock.
        was_busy: Whether there was other work for the upstream when it was made.
    """

    setting: Setting
    units: int
    useful: int
    started_s: float
    ended_s: float
    was_busy: bool


class Tuner:
    """Of one upstream.

    Attributes:
        cost: Of calls that wait for each other, from end to end; of such that run side by side, each on its own.

    Args:
        calls_max: As configured.
        is_fixed: Whether to call as configured, in the order of arrival, whatever is learnt.
    """

    def __init__(self, calls_max: int, *, is_fixed: bool = False) -> None:
        self._one_by_one = CostModel()
        self._side_by_side = CostModel()
        self.cost = self._one_by_one
        self._fixed = Setting(calls_max, None) if is_fixed else None
        self._climber = Climber(calls_max)
        self._last_ended_s = float("-inf")
        self._was_busy = False

    @property
    def setting(self) -> Setting:
        """Calls in flight and their size."""
        return self._fixed or self._climber.setting

    @property
    def shape(self) -> BatchShape:
        """How the lengths of the next batch are bounded."""
        if self._fixed:
            return BatchShape(None, None)
        return BatchShape(self.cost.padding_max, self._climber.setting.units_max)

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
        if sample.was_busy:
            self._climber.note(sample.setting, sample.units, sample.useful, service_s + idle_s)
        else:
            self._climber.note_idle(sample.setting)
