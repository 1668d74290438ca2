"""Whether what a batcher that is gone had learnt of an upstream still holds. Pure.

Since then the upstream may have become another: slower, with fewer places, one that works on a call at a time. To go on by what it was
could cost nearly all of its throughput for minutes, as a setting of many small calls changes by steps.

1. Where calls ran side by side each tells by what it takes; where they waited for each other, by how long it was served.
2. `ROUNDS` rounds of calls in a row that were slower than `NEAR_TIMES` refute it; a round is what was in flight together, as one
   pause meets all of it. Faster rounds do not: calls alone are faster than those beside many others.
3. Where they waited for each other, it is refuted as well by what their cost is learnt to be now, if that is another.
4. Calls that run side by side where they waited for each other, or the reverse, refute it, too.
5. It is confirmed by `CALLS_KEPT` calls, if as many were in flight as may be: a call alone says nothing of others beside it.
"""

from math import inf

from autobatch_batcher.tuning.cost import CALLS_MIN, NEAR_TIMES, CallCost

ROUNDS, SLOW_S = 3, 1.0  # of long calls fewer than `CALLS_MIN` must do, if they went on for so long
CALLS_KEPT = 256  # 16 fits: four of them suffice to find that calls wait for each other, where they did not


class Trust:
    """In what was remembered of one upstream.

    Attributes:
        cost: What a call costs, as it was remembered.
        calls: Calls in flight, as they were remembered.
        is_one_by_one: Whether calls waited for each other.

    Args:
        cost: What a call costs, as it was remembered.
        calls: Calls in flight, as they were remembered.
        is_one_by_one: Whether calls waited for each other.
    """

    def __init__(self, cost: CallCost, calls: int, *, is_one_by_one: bool) -> None:
        self.cost = cost
        self.calls = calls
        self.is_one_by_one = is_one_by_one
        self._kept = self._slow_rounds = self._slow_calls = 0
        self._slow_s = self._slow_since_s = 0.0
        self._calls = 0  # of the round
        self._seconds = self._expected_s = 0.0
        self._until_s = inf  # what was made before belongs to the round

    @property
    def is_refuted(self) -> bool:
        """Whether the upstream is another now."""
        return self._slow_rounds >= ROUNDS and (self._slow_calls >= CALLS_MIN or self._slow_s >= SLOW_S)

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

    def differs(self, cost: CallCost, padded: int, useful: int) -> bool:
        """Whether a call of this size costs something else than was remembered, though calls wait for each other."""
        expected_s = self.cost.seconds(self.cost.law.units(padded, useful))
        return self.is_one_by_one and not cost.is_near(cost.law.units(padded, useful), expected_s)

    def _end_round(self) -> None:
        if self._seconds > NEAR_TIMES * self._expected_s:
            if not self._slow_rounds:
                self._slow_since_s = self._until_s
            self._slow_rounds += 1
            self._slow_s = self._until_s - self._slow_since_s
            self._slow_calls += self._calls
        else:
            self._slow_rounds = self._slow_calls = 0
        self._calls, self._seconds, self._expected_s = 0, 0.0, 0.0
