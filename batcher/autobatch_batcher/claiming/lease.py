"""The lease under which this batcher has its claims, and what has become of the claims of batchers that did not renew."""

import logging

from autobatch_batcher.calling.outcomes import JobOutcome, failure
from autobatch_batcher.claiming.claims import Claims
from autobatch_batcher.metrics import Metrics
from autobatch_shared.contract.errors import JobPoisonous, QueueUnavailable
from autobatch_shared.contract.frames import id_in_queue
from autobatch_shared.redis.batcher_queue import BatcherQueue

log = logging.getLogger(__name__)

BEAT_MAX_S = 1.0  # also with a long lease: health asks how long ago the working loop moved


class Lease:
    """Renewed four times in its length, or once a second.

    Attributes:
        beat_s: Seconds between two renewals.
        next_beat_mono_s: When the next renewal is due, on the monotonic clock.

    Args:
        queue: The batcher's end of the queue, which renews and reaps leases.
        claims: The claims that are lost with the lease.
        metrics: Counts what became of the jobs of other batchers.
        lease_ms: The lease's length in milliseconds, the same as the queue's.
    """

    def __init__(self, queue: BatcherQueue, claims: Claims, metrics: Metrics, lease_ms: int) -> None:
        self.beat_s = min(lease_ms / 4 / 1000, BEAT_MAX_S)
        self.next_beat_mono_s = float("-inf")
        self._queue = queue
        self._claims = claims
        self._metrics = metrics

    async def beat(self, now_mono_s: float) -> list[JobOutcome]:
        """Renew it, and end those that were not renewed. Return the failures of jobs that killed too many batchers.

        Raises:
            QueueUnavailable: It may have been renewed or not.
        """
        if not await self._queue.renew():
            self._claims.lose_lanes()
        try:
            given_back, doomed = await self._queue.reap()
        except QueueUnavailable:
            self._claims.doubt()  # it may have given us jobs to give up
            raise
        self.next_beat_mono_s = now_mono_s + self.beat_s
        self._claims.may_have_jobs = True  # also a look at `retry`, which is not watched
        if given_back:
            self._metrics.jobs_reclaimed.inc(given_back)
            log.warning("jobs_reclaimed", extra={"jobs": given_back})
        if doomed:
            self._metrics.jobs_dead.inc(len(doomed))
            log.error("jobs_dead", extra={"jobs": len(doomed)})
        return [failure(id_in_queue(frame), JobPoisonous()) for frame in doomed]
