"""How long things took: counted in buckets, kept for RECENT_S seconds, read as percentiles. Pure.

The buckets are those of the metrics, and are read as Prometheus's `histogram_quantile` reads them: as if what a bucket has were spread
evenly over it. So the board says the same of the same requests, and both say up to a quarter too much of durations that are all alike.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

from autobatch_shared.measuring.buckets import LATENCY_BUCKETS_S
from autobatch_shared.watching.activity import Durations
from autobatch_shared.watching.recent_counts import RecentCounts
from autobatch_shared.watching.view import Percentiles

BOUNDS_MS = tuple(round(1000 * bound_s, 3) for bound_s in LATENCY_BUCKETS_S)
LONGER = 0.0  # stands for the bound of what took longer than all


class RecentDurations:
    """The durations of the last RECENT_S turns."""

    def __init__(self) -> None:
        self._counts: RecentCounts[float] = RecentCounts()

    def add(self, ms: float, count: int = 1) -> None:
        """Count so many of this duration."""
        place = bisect_left(BOUNDS_MS, ms)
        self._counts.add(BOUNDS_MS[place] if place < len(BOUNDS_MS) else LONGER, count)

    def add_buckets(self, bounds_s: Sequence[float], counts: Sequence[int]) -> None:
        """Add what was counted in other buckets, with one more count than bounds: that of what took longer."""
        for bound_s, count in zip((*bounds_s, LONGER), counts, strict=True):
            if count:
                self._counts.add(round(1000 * bound_s, 3), count)

    def turn(self) -> Durations:
        """End a turn; return what the last ones have counted."""
        return summed([self._counts.turn().items()])


def summed(parts: Iterable[Iterable[tuple[float, int]]]) -> Durations:
    """Return the durations of several together, the shortest first."""
    counts: Counter[float] = Counter()
    for part in parts:
        for bound, count in part:
            counts[bound] += count
    return sorted(counts.items(), key=lambda each: each[0] or float("inf"))


def percentile_ms(durations: Durations, share: float) -> float | None:
    """Return how long that share of them took at most, in milliseconds; None of none."""
    count = sum(each for _, each in durations)
    if count == 0:
        return None
    left = share * count
    longest = max(bound for bound, _ in durations)
    for bound, here in durations:
        if left <= here:
            if bound == LONGER:
                return max(longest, BOUNDS_MS[-1])
            place = bisect_left(BOUNDS_MS, bound)
            low = BOUNDS_MS[place - 1] if place else 0.0
            return low + (bound - low) * left / here
        left -= here
    return longest


def percentiles_of(durations: Durations) -> Percentiles:
    """Return the percentiles of durations, to a tenth of a millisecond."""
    p50_ms, p99_ms = (percentile_ms(durations, share) for share in (0.5, 0.99))
    return Percentiles(None if p50_ms is None else round(p50_ms, 1), None if p99_ms is None else round(p99_ms, 1))
