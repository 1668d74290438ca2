"""How many calls may be made beside those that clients' requests need: a share of these. Pure; the clock is passed in.

A call that fails for all is a load on a server that is failing: with three tries and splits it was 65 calls for a batch of 32.
"""

#: A retry, or a half of a split batch, in five calls.
RETRY_SHARE, RETRIES_KEPT_MAX, RETRIES_PER_S = 0.2, 20.0, 0.5
#: Not for the retries of a call that may be split in the end: to find one bad input among 32 takes ten halves.
KEPT_FOR_HALVES = 10
#: A second call in twenty, for one that is late.
HEDGE_SHARE, HEDGES_KEPT_MAX, HEDGES_PER_S = 0.05, 3.0, 0.1


class Budget:
    """Extra calls that were earned and not made yet.

    Attributes:
        usual_calls: Number of usual calls since the last look; each adds one.

    Args:
        share: Extra calls that each usual call earns.
        kept_max: The most that are kept for later; a new budget is full.
        per_s: Extra calls a second that are earned without calls: so that a quiet system can retry, too.
    """

    def __init__(self, share: float, kept_max: float, per_s: float) -> None:
        self._share = share
        self._kept_max = kept_max
        self._per_s = per_s
        self.usual_calls = 0
        self._kept = kept_max
        self._filled_s: float | None = None

    def take(self, calls: int, now_s: float, *, leaving: int = 0) -> bool:
        """Take extra calls, if so many are left then; False: nothing is taken."""
        if self._filled_s is not None:
            self.give_back((now_s - self._filled_s) * self._per_s)
        self.give_back(self.usual_calls * self._share)
        self._filled_s, self.usual_calls = now_s, 0
        if self._kept < calls + leaving:
            return False
        self._kept -= calls
        return True

    def give_back(self, calls: float) -> None:
        """So many extra calls did some good: they are no load on an upstream that only fails."""
        self._kept = min(self._kept + calls, self._kept_max)


def retry_budget() -> Budget:
    """Return the budget for the retries at one upstream."""
    return Budget(RETRY_SHARE, RETRIES_KEPT_MAX, RETRIES_PER_S)


def hedge_budget() -> Budget:
    """Return the budget for second calls instead of late ones."""
    return Budget(HEDGE_SHARE, HEDGES_KEPT_MAX, HEDGES_PER_S)
