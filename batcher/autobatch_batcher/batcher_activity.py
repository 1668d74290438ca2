"""What this batcher publishes once a second for people who look at the fleet."""

import time

import msgspec

from autobatch_batcher.claiming.recent_batches import RecentBatches
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.reporter import Reporter
from autobatch_batcher.tuning.cost import CostLaw
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.redis.watching.publishing import ActivityPublisher
from autobatch_shared.watching.activity import BatcherActivity, UpstreamActivity
from autobatch_shared.watching.durations import RecentDurations, percentiles_of
from autobatch_shared.watching.lines import StateAge, batcher_state, upstream_state


class BatcherActivityPublisher(ActivityPublisher):
    """Of one batcher.

    Args:
        batcher: Its id.
        model: The name of the model that it serves; empty: the unnamed one.
        activities: Where it is published.
        recent: Knows the last batches.
        metrics: Have counted how long jobs waited for their call.
        pool: The upstreams.
        clock: Redis's clock.
        reporter: Knows what the process uses, and what was reported last.
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
        reporter: Reporter,
    ) -> None:
        super().__init__(batcher, activities)
        self._model = model
        self._recent = recent
        self._metrics = metrics
        self._waits = RecentDurations()
        metrics.on_waits = self._waits.add_buckets
        self._pool = pool
        self._clock = clock
        self._reporter = reporter
        self._age = StateAge()
        self._ages: dict[str, StateAge] = {}

    def _activity(self) -> BatcherActivity:
        now_ms = self._clock.now_ms()
        upstreams = self._pool.upstreams
        self._metrics.take()
        answered = self._recent.turn(now_ms)
        unpadded = {each.name for each in upstreams if each.tuner.cost.law is not CostLaw.PADDED}
        batches = [each.without_padding() if each.upstream in unpadded else each for each in self._recent.batches]
        status, cpu_wait = self._reporter.status, round(self._reporter.use.cpu_wait_cores, 2)
        return BatcherActivity(
            now_ms,
            self._process,
            self._model,
            now_ms // 1000,
            answered,
            self._waits.turn(),
            [self._aged(self._recent.of_upstream(each.name, each.tuner.now), now_ms) for each in upstreams],
            batches,
            round(now_ms - time.time() * 1000),
            cpu_wait,
            self._age.ms(batcher_state(status, cpu_wait)[1], now_ms) if status is not None else 0,
        )

    def _aged(self, upstream: UpstreamActivity, now_ms: int) -> UpstreamActivity:
        """Return what an upstream did, with the age of its state: that of what was reported last."""
        status = self._reporter.status
        for each in status.upstreams if status is not None else ():
            if each.url == upstream.url:
                _, state = upstream_state(each, percentiles_of(upstream.took))
                age = self._ages.setdefault(upstream.url, StateAge())
                return msgspec.structs.replace(upstream, unchanged_ms=age.ms(state, now_ms))
        return upstream
