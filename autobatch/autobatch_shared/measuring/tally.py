"""A histogram that is counted in plain Python until it is brought over into a metric.

To observe a value in a metric takes 3 us with 51 buckets, and 1 us more where several processes share it; here 0.2 us. So who counts
writes the two lines where the value is known, and a call less makes it 60 ns less:

    tally.total += value
    tally.counts[bisect_left(BUCKETS, value)] += 1
"""

from collections.abc import Sequence

from prometheus_client import Histogram


class Tally:
    """Values that were seen since they were last brought over.

    Attributes:
        total: Their sum.
        counts: How many fell into each bucket, those above the last bound in one more.

    Args:
        bounds: The upper bounds of the buckets, as of the histogram that it is poured into.
    """

    __slots__ = ("counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.total = 0.0
        self.counts = [0] * (len(bounds) + 1)

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self.counts)

    def pour_into(self, histogram: Histogram) -> None:
        """Add everything to a histogram of these buckets, and begin anew."""
        # The client library observes one value at a time only; its parts are plain counters.
        histogram._sum.inc(self.total)  # noqa: SLF001
        for bucket, count in zip(histogram._buckets, self.counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        self.total, self.counts = 0.0, [0] * len(self.counts)
