"""What the calls to one upstream teach, and how to call it next. Pure; times are passed in."""

import msgspec

from batcher.climbing import Climber, Setting
from batcher.cost import CostModel
from batcher.shaping import Shape


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

    Args:
        calls_max: As configured.
        is_fixed: Whether to call as configured, in the order of arrival, whatever is learnt.
    """

    def __init__(self, calls_max: int, *, is_fixed: bool = False) -> None:
        self.cost = CostModel()
        self._fixed = Setting(calls_max) if is_fixed else None
        self._climber = Climber(calls_max)
        self._last_ended_s = float("-inf")

    @property
    def setting(self) -> Setting:
        """Calls in flight and their size."""
        return self._fixed or self._climber.setting

    @property
    def shape(self) -> Shape:
        """How the next batch is to be cut."""
        if self._fixed:
            return Shape(None, None)
        return Shape(self.cost.padding_max, self._climber.setting.units_max)

    def note(self, sample: Sample) -> None:
        """Learn from a call, in the order of completion."""
        service_s = sample.ended_s - max(sample.started_s, self._last_ended_s)
        self._last_ended_s = sample.ended_s
        if sample.units == 0:
            return  # of unknown length
        self.cost.note(sample.units, service_s)
        if sample.was_busy:
            self._climber.note(sample.setting, sample.units, sample.useful, service_s)
