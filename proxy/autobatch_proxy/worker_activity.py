"""What this worker publishes once a second for people who look at the fleet."""

import time
from collections.abc import Callable, Mapping, Sequence

from autobatch_proxy.metrics import WorkerMetrics
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.redis.watching.publishing import ActivityPublisher
from autobatch_shared.watching.activity import WorkerActivity
from autobatch_shared.watching.durations import RecentDurations
from autobatch_shared.watching.lines import StateAge, worker_state
from autobatch_shared.watching.per_second import PerSecond
from autobatch_shared.watching.recent_counts import RecentCounts

REFUSALS, TOO_LONG = (429, 503), 413


class WorkerActivityPublisher(ActivityPublisher):
    """Of one worker.

    Args:
        worker: Its id.
        activities: Where it is published.
        metrics: Have counted this worker's answers.
        take: Brings this worker's numbers into the metrics, and into `answered` here.
        now_ms: Redis's clock, unix milliseconds.
        inputs_in_flight: Returns the inputs of requests that wait for their answer.
    """

    def __init__(
        self,
        worker: str,
        activities: Activities,
        metrics: WorkerMetrics,
        take: Callable[[], None],
        now_ms: Callable[[], int],
        inputs_in_flight: Callable[[], int],
    ) -> None:
        super().__init__(worker, activities)
        self._metrics = metrics
        metrics.on_taken = self._note
        metrics.on_keys = self._note_keys
        self._take = take
        self._now_ms = now_ms
        self._inputs_in_flight = inputs_in_flight
        self._started_mono_s = time.monotonic()
        self._looked_ms = 0
        self._hits = 0
        self._counts = dict.fromkeys(("answered", "refused", "failed", "too_long"), 0)
        self._seconds = {kind: PerSecond() for kind in (*self._counts, "cached", "waiting")}
        self._by_key: RecentCounts[int] = RecentCounts()
        self._took = RecentDurations()
        self._age = StateAge()

    def _note(self, code: int, bounds_s: Sequence[float], buckets: Sequence[int]) -> None:
        """Take note of answers with this status, by how long they took."""
        count = sum(buckets)
        if code < 400:
            self._counts["answered"] += count
            self._took.add_buckets(bounds_s, buckets)
        elif code in REFUSALS:
            self._counts["refused"] += count
        elif code == TOO_LONG:
            self._counts["too_long"] += count
        elif code >= 500:
            self._counts["failed"] += count

    def _note_keys(self, by_key: Mapping[int, int]) -> None:
        for place, count in by_key.items():
            self._by_key.add(place, count)

    def _activity(self) -> WorkerActivity:
        self._take()
        now_ms = self._now_ms()
        before_ms, self._looked_ms = self._looked_ms or now_ms, now_ms
        hits = self._metrics.cache.hits.total
        counts = {**self._counts, "cached": hits - self._hits}
        self._hits = hits
        for kind, count in counts.items():
            self._seconds[kind].add(count, before_ms, now_ms)
        self._seconds["waiting"].note(self._inputs_in_flight(), before_ms, now_ms)
        self._counts = dict.fromkeys(self._counts, 0)
        until_s = now_ms // 1000
        cpu_share, cpu_wait = round(self._metrics.use.cpu_cores, 2), round(self._metrics.use.cpu_wait_cores, 2)
        return WorkerActivity(
            now_ms,
            self._process,
            int((time.monotonic() - self._started_mono_s) * 1000),
            cpu_share,
            round(1000 * self.round_trip_s, 2),
            until_s,
            **{kind: seconds.before(until_s) for kind, seconds in self._seconds.items()},
            took=self._took.turn(),
            by_key=self._by_key.turn(),
            clock_ahead_ms=round(now_ms - time.time() * 1000),
            cpu_wait=cpu_wait,
            unchanged_ms=self._age.ms(worker_state(cpu_share, cpu_wait)[1], now_ms),
        )
