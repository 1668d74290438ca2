"""What the batches of the last seconds were, for people who look at the fleet. Pure; times are passed in.

Adding a batch takes 2 us, whatever it carries; the rest is done once a second.
"""

from collections import deque

from autobatch_batcher.forming.lanes import Batch
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


class _RecentUpstream:
    """Of one upstream: sums of the present turn and of those before it, RECENT_S in all."""

    def __init__(self) -> None:
        self.batches = self.inputs = self.failed = 0
        self.took_ms: list[float] = []  # of this turn's batches
        self._took = RecentDurations()
        self._turns: deque[tuple[int, int, int]] = deque(maxlen=RECENT_S)

    def turn(self) -> tuple[int, int, int, Durations]:
        self._turns.append((self.batches, self.inputs, self.failed))
        self.batches = self.inputs = self.failed = 0
        batches, inputs, failed = (sum(each) for each in zip(*self._turns, strict=True))
        for took_ms in self.took_ms:
            self._took.add(took_ms)
        self.took_ms = []
        return batches, inputs, failed, self._took.turn()


class RecentBatches:
    """Of one batcher.

    Attributes:
        batches: The last ones, the newest last.
    """

    def __init__(self) -> None:
        self.batches: deque[SeenBatch] = deque(maxlen=BATCHES_MAX)
        self._upstreams: dict[str, _RecentUpstream] = {}
        self._answered = 0
        self._per_second = PerSecond()
        self._turned_ms = 0

    def add(
        self, batch: Batch, upstream: str, room: int, took_s: float, now_ms: int, *, answered: int, failed: int
    ) -> None:
        """Add a batch that ends now, on Redis's clock.

        Args:
            batch: The batch.
            upstream: The upstream that answered.
            room: The most inputs that its call could have.
            took_s: Seconds from its call to its answer.
            now_ms: Unix milliseconds of Redis's clock.
            answered: Number of inputs that were computed.
            failed: Number of jobs that were not.
        """
        took_ms = round(1000 * took_s, 1)
        units = batch.units
        padding = round(1 - batch.useful / units, 3) if units else 0.0
        waited_ms = max(0, int(now_ms - took_ms - batch.oldest_ms))
        self.batches.append(
            SeenBatch(
                now_ms,
                upstream,
                batch.reason.value,
                batch.inputs,
                room,
                len(batch.jobs),
                padding,
                waited_ms,
                took_ms,
                failed,
            )
        )
        of_upstream = self._upstreams.get(upstream)
        if of_upstream is None:
            of_upstream = self._upstreams[upstream] = _RecentUpstream()
        of_upstream.batches += 1
        of_upstream.inputs += answered
        of_upstream.failed += failed
        of_upstream.took_ms.append(took_ms)
        self._answered += answered

    def turn(self, now_ms: int) -> list[int]:
        """End a turn of about a second; return the inputs that were answered in each of the last seconds."""
        self._per_second.add(self._answered, self._turned_ms, now_ms)
        self._answered, self._turned_ms = 0, now_ms
        return self._per_second.before(now_ms // 1000)

    def of_upstream(self, url: str, tuning: TuningNow | None) -> UpstreamActivity:
        """End the turn of one upstream, and return what it did."""
        recent = self._upstreams.setdefault(url, _RecentUpstream())
        batches, inputs, failed, took = recent.turn()
        return UpstreamActivity(url, batches, inputs, failed, took, tuning)
