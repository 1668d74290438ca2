"""Once a second: publish what this batcher did, for people who look at the fleet. Nothing waits for it."""

import logging
from contextlib import suppress

import msgspec

from autobatch_batcher.claiming.recent_batches import RecentBatches
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.cost import CostLaw
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.watching.activity import BatcherActivity
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
        metrics: Have counted how long jobs waited for their call.
        pool: The upstreams.
        clock: Redis's clock.
    """

    def __init__(
        self,
        batcher: str,
        model: str,
        activities: Activities,
        recent: RecentBatches,
        metrics: Metrics,
        pool: Pool,
        clock: RedisClock,
    ) -> None:
        self._batcher = batcher
        self._model = model
        self._activities = activities
        self._recent = recent
        self._metrics = metrics
        self._waits = RecentDurations()
        metrics.on_waits = self._waits.add_buckets
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
        self._metrics.take()
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
