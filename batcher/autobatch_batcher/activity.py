"""Once a second: publish what this batcher did, for people who look at the fleet. Nothing waits for it."""

import logging
from collections import Counter
from contextlib import suppress

import msgspec
from prometheus_client import Histogram

from autobatch_batcher.recent_batches import RecentBatches
from autobatch_batcher.tuning.cost import CostLaw
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.watching.activity import BatcherActivity, Durations
from autobatch_shared.watching.durations import RecentDurations

log = logging.getLogger(__name__)

PUBLISH_EVERY_S = 1.0


class ActivityPublisher:
    """Of one batcher.

    Args:
        batcher: Its id.
        model: The name of the model that it serves; empty: the unnamed one.
        activities: Where it is published.
        recent: Knows the last batches.
        queue_wait: Counts how long jobs waited for their call.
        pool: The upstreams.
        clock: Redis's clock.
    """

    def __init__(
        self,
        batcher: str,
        model: str,
        activities: Activities,
        recent: RecentBatches,
        queue_wait: Histogram,
        pool: Pool,
        clock: RedisClock,
    ) -> None:
        self._batcher = batcher
        self._model = model
        self._activities = activities
        self._recent = recent
        self._waits = _HistogramTurns(queue_wait)
        self._pool = pool
        self._clock = clock
        self._publishing = Periodic("activity", self._publish)

    def start(self) -> None:
        """Begin to publish."""
        self._publishing.start()

    async def close(self) -> None:
        """Stop, and take this batcher out."""
        await self._publishing.close()
        with suppress(QueueUnavailable):  # then it ends with its TTL
            await self._activities.withdraw(self._batcher)

    async def _publish(self) -> float:
        activity = self._activity()
        try:
            await self._activities.publish(activity)
        except QueueUnavailable as error:
            log.debug(
                "activity_not_published", extra={"error": str(error)}
            )  # the reporter's words say that Redis is away
        return PUBLISH_EVERY_S

    def _activity(self) -> BatcherActivity:
        now_ms = self._clock.now_ms()
        upstreams = self._pool.upstreams
        answered = self._recent.turn(now_ms)
        unpadded = {each.name for each in upstreams if each.tuner.cost.law is not CostLaw.PADDED}
        batches = [
            msgspec.structs.replace(each, padding=0.0) if each.upstream in unpadded else each
            for each in self._recent.batches
        ]
        return BatcherActivity(
            now_ms,
            self._batcher,
            self._model,
            now_ms // 1000,
            answered,
            self._waits.turn(),
            [self._recent.of_upstream(each.name, each.tuner.now) for each in upstreams],
            batches,
        )


class _HistogramTurns:
    """What a histogram of Prometheus has counted lately: reading it costs nothing where it is counted."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._before: Counter[float] = Counter()
        self._recent = RecentDurations()

    def turn(self) -> Durations:
        """End a turn; return what was counted in the last ones."""
        cumulative: Counter[float] = Counter()
        for metric in self._histogram.collect():
            for sample in metric.samples:
                if sample.name.endswith("_bucket"):
                    cumulative[float(sample.labels["le"])] += int(sample.value)
        bounds_s = sorted(cumulative)
        lower = 0
        counts = []
        for bound_s in bounds_s:
            counts.append(cumulative[bound_s] - lower)
            lower = cumulative[bound_s]
        now = Counter(dict(zip(bounds_s, counts, strict=True)))
        added = [now[bound_s] - self._before[bound_s] for bound_s in bounds_s]
        self._before = now
        self._recent.add_buckets(bounds_s[:-1], added)  # the last bound is infinite
        return self._recent.turn()
