"""Whether an upstream has become another than the one that was learnt, and what its calls cost until that is learnt anew. Pure.

In one fit the calls before such a step and those after it would explain each other by their size: where the slow ones happen to be
the larger ones, size seems to cost all of it and a call nothing, so that next to no texts may share one. So they are kept apart.

1. While calls take more than twice what was expected, or less than half, one after the other, the fit waits.
2. Meanwhile they are believed to cost what the fastest of them took longer, whatever it carried, unless it shows that size costs more
   than was learnt. To be wrong in that makes a few calls too large; the reverse starves an upstream that is slow already.
3. `CALLS_MIN` such calls in a row are a step, and what came before is forgotten. Of calls that vary by a sigma of 0.5 one in eight is
   off to the same side by chance, and so many in a row are one in ten million.

Calls that have to wait for more others than before take longer, too, though the upstream is as fast. So both must be off: each call by
what it took, and all together by how long the upstream served them.
"""

from collections import deque
from math import inf

import msgspec
from msgspec.structs import replace

from autobatch_batcher.tuning.cost import CALLS_MIN, NEAR_TIMES, CallCost, fit

CHARGED_CALLS_MIN = 2  # a single call that took far longer met a pause
ROUNDS, OFF_S = 3, 1.0  # of long calls fewer than `CALLS_MIN` must do, if they went on for so long
FASTER_TIMES = 1.6  # of calls that waited for each other: two at a time that wait no more are served in half the time
CALLS_KEPT = 256  # 16 fits: four of them suffice to find that calls wait for each other, where they did not


class SurprisingCall(msgspec.Struct, frozen=True):
    """A call that took far from what was expected.

    Attributes:
        units: What it carried, by the law that rules.
        started_s: When it was made, in seconds of any monotonic clock.
        ended_s: When its answer was in, in seconds of the same clock.
        service_s: Seconds that the upstream served it.
        expected_s: Seconds that it should have taken.
        expected_service_s: Seconds that the upstream should have served it.
    """

    units: int
    started_s: float
    ended_s: float
    service_s: float
    expected_s: float
    expected_service_s: float

    @property
    def took_s(self) -> float:
        """Seconds from the call until the answer."""
        return self.ended_s - self.started_s


class Surprise:
    """The last calls, as far as all of them were off to the same side.

    Attributes:
        calls: How many there are; those that were in flight with the first count as one with it, as one pause meets them all.
    """

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """Forget them: they are no surprise any more."""
        self.calls = 0
        self._is_slow = False
        self._since_s = inf
        self._service_s = self._expected_service_s = 0.0
        # Units, seconds and weight, as `fit` takes them.
        self._made: deque[tuple[int, float, float]] = deque(maxlen=CALLS_MIN)
        self._last_charge: tuple[CallCost, bool, CallCost] | None = None  # arguments and result of `charged`

    @property
    def is_open(self) -> bool:
        """Whether a few more calls will show if this is a step: until then nothing is to be learnt from them."""
        return CHARGED_CALLS_MIN <= self.calls < CALLS_MIN

    @property
    def is_faster(self) -> bool:
        """Whether these calls took less than was expected."""
        return self.calls > 0 and not self._is_slow

    @property
    def is_step(self) -> bool:
        """Whether it shows with this call that the upstream is another than before these calls."""
        return self.calls == CALLS_MIN and self._is_service_off

    def note(self, call: SurprisingCall) -> None:
        """Take note of a call that took far from what was expected, in the order of completion."""
        is_slow = call.took_s > call.expected_s
        if is_slow is not self._is_slow:
            self.end()
        self._is_slow = is_slow
        if not self.calls:
            self._since_s = call.ended_s
        if not self.calls or call.started_s >= self._since_s:
            self.calls += 1
        self._service_s += call.service_s
        self._expected_service_s += call.expected_service_s
        self._made.append((call.units, call.took_s, 1.0))
        self._last_charge = None

    def charged(self, cost: CallCost, *, is_learnt: bool) -> CallCost:
        """Return what a call costs now, given what was learnt; a guess gives way to the first of these calls.

        It is asked ten times a call, and only a call changes it: reckoned each time it took 7 % of a batcher with one request in flight.
        """
        if self._last_charge is None or self._last_charge[0] is not cost or self._last_charge[1] is not is_learnt:
            self._last_charge = cost, is_learnt, self._charge(cost, is_learnt=is_learnt)
        return self._last_charge[2]

    def _charge(self, cost: CallCost, *, is_learnt: bool) -> CallCost:
        calls_min = CHARGED_CALLS_MIN if is_learnt else 1
        if not (self._is_slow and self.calls >= calls_min and self._is_service_off):
            return cost
        line = fit(self._made, 1.0) if len(self._made) >= 2 * calls_min else None
        of_size = replace(cost, flat_s=0.0, per_unit_s=max(cost.per_unit_s, line.per_unit_s if line else 0.0))
        flat_s = min([took_s - of_size.seconds(units) for units, took_s, _ in self._made])
        return replace(of_size, flat_s=max(cost.flat_s, flat_s))

    @property
    def _is_service_off(self) -> bool:
        if self._is_slow:
            return self._service_s > NEAR_TIMES * self._expected_service_s
        return NEAR_TIMES * self._service_s < self._expected_service_s


class Trust:
    """In what a batcher that is gone had learnt of one upstream.

    Since then the upstream may have become another: slower, with fewer places, one that works on a call at a time. To go on by what it was
    could cost nearly all of its throughput for minutes, as a setting of many small calls changes by steps.

    1. Where calls ran side by side each tells by what it takes; where they waited for each other, by how long it was served.
    2. `ROUNDS` rounds of calls in a row that were slower than `NEAR_TIMES` refute it; a round is what was in flight together, as one
       pause meets all of it. So do rounds that were faster by `FASTER_TIMES`, but only where calls waited for each other: calls that run
       side by side are faster alone than beside many others.
    3. Where they waited for each other, it is refuted as well by what their cost is learnt to be now, if that is another.
    4. Calls that run side by side where they waited for each other, or the reverse, refute it, too.
    5. It is confirmed by `CALLS_KEPT` calls, if as many were in flight as may be: a call alone says nothing of others beside it.

    Attributes:
        cost: What a call costs, as it was remembered.
        calls: Calls in flight, as they were remembered.
        is_one_by_one: Whether calls waited for each other.
        is_slow: Whether the last round was slower than was remembered.

    Args:
        cost: What a call costs, as it was remembered.
        calls: Calls in flight, as they were remembered.
        is_one_by_one: Whether calls waited for each other.
    """

    def __init__(self, cost: CallCost, calls: int, *, is_one_by_one: bool) -> None:
        self.cost = cost
        self.calls = calls
        self.is_one_by_one = is_one_by_one
        self._kept = self._off_rounds = self._off_calls = 0
        self.is_slow = False
        self._off_s = self._off_since_s = 0.0
        self._calls = 0  # of the round
        self._seconds = self._expected_s = 0.0
        self._until_s = inf  # what was made before belongs to the round

    @property
    def is_refuted(self) -> bool:
        """Whether the upstream is another now."""
        return self._off_rounds >= ROUNDS and (self._off_calls >= CALLS_MIN or self._off_s >= OFF_S)

    @property
    def is_confirmed(self) -> bool:
        """Whether it is as it was."""
        return self._kept >= CALLS_KEPT

    def note(self, units: int, started_s: float, ended_s: float, service_s: float, *, is_full: bool) -> None:
        """Take note of a call with that setting, in the order of completion.

        Args:
            units: What it carried, by the remembered law.
            started_s: When it was made, in seconds of any monotonic clock.
            ended_s: When its answer was in, in seconds of the same clock.
            service_s: Seconds that the upstream served it.
            is_full: Whether as many calls were in flight then.
        """
        if started_s >= self._until_s:
            self._end_round()
        if not self._calls:
            self._until_s = ended_s
        self._calls += 1
        self._seconds += service_s if self.is_one_by_one else ended_s - started_s
        self._expected_s += self.cost.seconds(units)
        self._kept += is_full

    def differs(self, cost: CallCost, padded: int, useful: int, inputs: int) -> bool:
        """Whether a call of these sizes costs something else than was remembered, though calls wait for each other."""
        expected_s = self.cost.seconds(self.cost.law.units(padded, useful, inputs))
        return self.is_one_by_one and not cost.is_near(cost.law.units(padded, useful, inputs), expected_s)

    def _end_round(self) -> None:
        is_slow = self._seconds > NEAR_TIMES * self._expected_s
        is_fast = self.is_one_by_one and FASTER_TIMES * self._seconds < self._expected_s
        if is_slow is not self.is_slow or not (is_slow or is_fast):
            self._off_rounds = self._off_calls = 0
        if is_slow or is_fast:
            if not self._off_rounds:
                self._off_since_s = self._until_s
            self._off_rounds += 1
            self._off_s = self._until_s - self._off_since_s
            self._off_calls += self._calls
        self.is_slow = is_slow
        self._calls, self._seconds, self._expected_s = 0, 0.0, 0.0
