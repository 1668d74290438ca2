"""The lease under which this batcher has its claims, and what has become of the claims of batchers that did not renew."""

import logging
from collections.abc import Sequence
from contextlib import suppress

from autobatch_batcher.calling.outcomes import JobOutcome, failure
from autobatch_batcher.claiming.claims import CLOCK_STEP_MS, Claims
from autobatch_batcher.jobs import Job, named
from autobatch_batcher.metrics import Metrics
from autobatch_shared.contract.errors import FrameOfAnotherVersion, JobPoisonous, MalformedFrame, QueueUnavailable
from autobatch_shared.contract.frames import decode_job, id_in_queue
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.clock import RedisClock

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
        clock: Redis's clock, set anew by each renewal.
        metrics: Counts what became of the jobs of other batchers.
        lease_ms: The lease's length in milliseconds, the same as the queue's.
    """

    def __init__(self, queue: BatcherQueue, claims: Claims, clock: RedisClock, metrics: Metrics, lease_ms: int) -> None:
        self.beat_s = min(lease_ms / 4 / 1000, BEAT_MAX_S)
        self.next_beat_mono_s = float("-inf")
        self._queue = queue
        self._claims = claims
        self._clock = clock
        self._metrics = metrics
        self._epoch: bytes | None = None
        # Of its own, for claims set the other one: a step between two renewals has to be seen by the second.
        self._clock_of_renewals: RedisClock | None = None
        self._step_ms = 0  # not told to Redis yet

    async def beat(self, now_mono_s: float) -> list[JobOutcome]:
        """Renew it, and end those that were not renewed. Return the failures of jobs that killed too many batchers.

        Raises:
            QueueUnavailable: It may have been renewed or not.
        """
        asked_s = self._clock.mono_s()
        renewal = await self._queue.renew()
        self._note_clock(renewal.redis_ms, asked_s)
        if not renewal.was_held:
            self._claims.lose_lanes()
        if self._epoch not in (None, renewal.epoch):
            self._claims.doubt()
        self._epoch = renewal.epoch
        try:
            given_back, doomed = await self._queue.reap(self._step_ms)
        except QueueUnavailable:
            self._claims.doubt()  # it may have given us jobs to give up
            raise
        self._step_ms = 0
        self.next_beat_mono_s = now_mono_s + self.beat_s
        self._claims.may_have_jobs = True  # also a look at `retry`, which is not watched
        if given_back:
            self._metrics.jobs_reclaimed.inc(given_back)
            log.warning("jobs_reclaimed", extra={"jobs": given_back})
        if doomed:
            self._metrics.jobs_dead.inc(len(doomed))
            log.error("jobs_dead", extra=named(_readable(doomed)) | {"jobs": len(doomed)})
        return [failure(id_in_queue(frame), JobPoisonous()) for frame in doomed]

    def _note_clock(self, redis_ms: int, asked_s: float) -> None:
        """Learn Redis's clock, and whether it stepped ahead: then no lease has ended only because of that."""
        self._clock.sync(redis_ms, asked_s)
        if self._clock_of_renewals is None:
            self._clock_of_renewals = RedisClock(self._clock.mono_s)
            self._clock_of_renewals.sync(redis_ms)
        step_ms = round(self._clock_of_renewals.sync(redis_ms, asked_s))
        if step_ms > CLOCK_STEP_MS:
            log.warning("redis_clock_stepped", extra={"step_ms": step_ms})
            self._step_ms += step_ms


def _readable(frames: Sequence[bytes]) -> list[Job]:
    """Return the jobs of those frames that are whole, and of this version."""
    jobs = []
    for frame in frames:
        with suppress(MalformedFrame, FrameOfAnotherVersion):
            jobs.append(Job(*decode_job(frame)))
    return jobs
