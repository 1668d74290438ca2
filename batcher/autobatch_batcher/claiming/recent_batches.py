"""What the batches of the last seconds were, for people who look at the fleet. Pure; times are passed in.

A batch that ends is put into a list, 1 us whatever it carries; the rest is done once a second.
"""

from collections import deque

from autobatch_shared.watching.activity import (
    BATCHES_MAX,
    RECENT_S,
    Durations,
    SeenBatch,
    TuningNow,
    UpstreamActivity,
)
from autobatch_shared.watching.durations import RecentDurations
from autobatch_shared.watching.per_second import PerSecond

ENDED_MAX = 10_000  # several times what ends in a second


class _RecentUpstream:
    """Of one upstream: sums of the present turn and of those before it, RECENT_S in all."""

    def __init__(self) -> None:
        self.batches = self.inputs = self.failed = 0
        self.took = RecentDurations()
        self._turns: deque[tuple[int, int, int]] = deque(maxlen=RECENT_S)

    def turn(self) -> tuple[int, int, int, Durations]:
        self._turns.append((self.batches, self.inputs, self.failed))
        self.batches = self.inputs = self.failed = 0
        batches, inputs, failed = (sum(each) for each in zip(*self._turns, strict=True))
        return batches, inputs, failed, self.took.turn()


class RecentBatches:
    """Of one batcher.

    Attributes:
        ended: The batches that have ended since the last turn, with the inputs that were computed; the working loop adds them.
        batches: The last ones, the newest last.
    """

    def __init__(self) -> None:
        self.ended: deque[tuple[SeenBatch, int]] = deque(maxlen=ENDED_MAX)
        self.batches: deque[SeenBatch] = deque(maxlen=BATCHES_MAX)
        self._upstreams: dict[str, _RecentUpstream] = {}
        self._per_second = PerSecond()
        self._turned_ms = 0

    def turn(self, now_ms: int) -> list[int]:
        """End a turn of about a second; return the inputs that were answered in each of the last seconds."""
        ended, self.ended = self.ended, deque(maxlen=ENDED_MAX)
        for batch, answered in ended:
            recent = self._upstreams.setdefault(batch.upstream, _RecentUpstream())
            recent.batches += 1
            recent.inputs += answered
            recent.failed += batch.failed
            recent.took.add(batch.took_ms)
        self.batches.extend(batch for batch, _ in ended)
        self._per_second.add(sum(answered for _, answered in ended), self._turned_ms, now_ms)
        self._turned_ms = now_ms
        return self._per_second.before(now_ms // 1000)

    def of_upstream(self, url: str, tuning: TuningNow | None) -> UpstreamActivity:
        """End the turn of one upstream, and return what it did."""
        recent = self._upstreams.setdefault(url, _RecentUpstream())
        batches, inputs, failed, took = recent.turn()
        return UpstreamActivity(url, batches, inputs, failed, took, tuning)
