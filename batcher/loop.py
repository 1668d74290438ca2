"""The batcher's working loop: a free slot first, then a claim, then a batch.

1. Nothing is claimed while no slot is free: what is in the queue can be taken by any batcher.
2. The lease is renewed by this loop and by nothing else, so it says that this loop moves.
3. No wait is longer than a quarter of the lease.
4. Whatever goes wrong in a turn is logged and the next turn begins; jobs stay claimed until they are answered.
"""

import asyncio
import logging
from collections.abc import Sequence

from autobatch.bell import Bell
from autobatch.clock import RedisClock
from autobatch.errors import JobPoisonous, MalformedFrame, QueueUnavailable
from autobatch.frames import decode_job, id_in_queue
from autobatch.job_queue import BatcherQueue
from autobatch.redis_link import RedisLink
from batcher.calling import Caller, Reply, failure
from batcher.forming import Batch, Job, Lanes, Moment
from batcher.limits import Limits
from batcher.metrics import Metrics
from batcher.pace import Pace
from batcher.upstream import Pool, Upstream

log = logging.getLogger(__name__)

HELD_BATCHES_MAX = 4  # of many lanes with few jobs each; more would be hoarding
RETRIED_JOBS_PER_CLAIM = 4
RETRY_PAUSE_S = 0.02  # a Redis that is connected and refuses is not asked again at once
WATCH_BLOCK_S = 1.0  # below the link's silence limit


class WorkingLoop:
    """Claims, forms and sends until told to stop.

    Args:
        queue: The batcher's end of the queue, over `link`.
        link: Watched for outages.
        pool: The upstreams.
        caller: Makes the calls.
        lanes: Holds what was claimed.
        clock: Redis's clock, kept in step here.
        metrics: Of this process.
        lease_ms: As given to the queue.
        wait_max_ms: As given to the lanes.
    """

    def __init__(
        self,
        queue: BatcherQueue,
        link: RedisLink,
        pool: Pool,
        caller: Caller,
        lanes: Lanes,
        clock: RedisClock,
        metrics: Metrics,
        *,
        lease_ms: int,
        wait_max_ms: int,
    ) -> None:
        self.moved_mono_s = float("-inf")
        self._queue = queue
        self._link = link
        self._pool = pool
        self._caller = caller
        self._lanes = lanes
        self._clock = clock
        self._metrics = metrics
        self._beat_s = lease_ms / 4 / 1000
        self._next_beat_mono_s = float("-inf")
        self._bell = Bell()
        self._pace = Pace()
        self._wait_max_s = wait_max_ms / 1000
        self._queued = 0
        self._may_have_jobs = True
        self._watch: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def stop(self) -> None:
        """Claim nothing more; `run` returns when everything claimed has been answered."""
        self._is_stopping = True
        self._bell.ring()

    async def run(self) -> None:
        """Work until stopped and drained."""
        while not (self._is_stopping and self._lanes.inputs == 0 and not self._sending):
            self.moved_mono_s = asyncio.get_running_loop().time()
            try:
                await self._turn()
            except QueueUnavailable as error:
                log.warning("queue_unavailable", extra={"error": str(error)})
                await Bell().wait(RETRY_PAUSE_S)
                await self._link.wait_connected(self._beat_s)
            except Exception:
                log.exception("turn_failed")
                await Bell().wait(self._beat_s)
        if self._watch is not None:
            self._watch.cancel()  # it only looks at the queue: nothing can be lost

    async def _turn(self) -> None:
        """Do the next useful thing, or wait for a reason to do one."""
        await self._beat()
        upstream = self._pool.free()
        if upstream is None:
            await self._bell.wait(self._beat_s)
            return
        limits = upstream.limits
        wanted = self._inputs_wanted(limits)
        if wanted > 0:
            await self._linger(wanted)
            await self._claim(wanted)
        await self._drop_expired()
        moment = Moment(self._clock.now_ms(), self._pool.calls_in_flight == 0, self._is_stopping)
        batch = self._lanes.take(moment, limits)
        if batch is not None:
            self._send(batch, upstream)
        elif self._inputs_wanted(limits) == 0:
            await self._wait(moment)

    def _inputs_wanted(self, limits: Limits) -> int:
        """How many inputs to claim now."""
        if not self._may_have_jobs or self._is_stopping or self._lanes.has_full(limits):
            return 0
        held = self._lanes.inputs
        return max(limits.inputs_max - held, 0) or min(limits.inputs_max, HELD_BATCHES_MAX * limits.inputs_max - held)

    async def _linger(self, wanted: int) -> None:
        """Under a storm, let the batch fill in the queue instead of claiming it crumb by crumb."""
        linger_s = self._pace.linger_s(wanted - self._queued, self._wait_max_s)
        if linger_s > 0:
            await Bell().wait(linger_s)

    async def _wait(self, moment: Moment) -> None:
        """Wait for a job, a finished call, the end of somebody's wait, or the next beat."""
        if not self._is_stopping and not self._may_have_jobs and self._watch is None:
            self._watch = asyncio.create_task(self._watch_queue(), name="queue-watch")
        patience_s = self._beat_s
        if (due_ms := self._lanes.due_ms()) is not None:
            patience_s = min(patience_s, max(due_ms - moment.now_ms, 1) / 1000)
        await self._bell.wait(patience_s)

    async def _watch_queue(self) -> None:
        try:
            if await self._queue.watch(WATCH_BLOCK_S):
                self._may_have_jobs = True
        except QueueUnavailable:
            await Bell().wait(self._beat_s)  # the next turn's claim tells what is wrong
        finally:
            self._watch = None
            self._bell.ring()

    async def _claim(self, inputs: int) -> None:
        claim = await self._queue.claim(inputs, RETRIED_JOBS_PER_CLAIM)
        self._clock.sync(claim.redis_ms)
        self._queued = claim.queued
        self._pace.note(len(claim.fresh), asyncio.get_running_loop().time())
        self._may_have_jobs = claim.queued > 0 or len(claim.retried) == RETRIED_JOBS_PER_CLAIM
        if claim.dropped:
            self._metrics.jobs_dropped.labels("gone").inc(claim.dropped)
        broken = self._hold(claim.retried, are_retried=True) + self._hold(claim.fresh, are_retried=False)
        self._metrics.held_inputs.set(self._lanes.inputs)
        if broken:
            self._metrics.jobs_dropped.labels("malformed").inc(len(broken))
            await self._queue.reply((), broken)

    def _hold(self, frames: Sequence[bytes], *, are_retried: bool) -> list[str]:
        """Put claimed frames into the lanes; return the ids of those that are broken, whom nobody can answer."""
        broken = []
        for frame in frames:
            try:
                header, body = decode_job(frame)
            except MalformedFrame as error:
                log.error("frame_malformed", extra={"error": str(error), "frame_bytes": len(frame)})  # noqa: TRY400
                broken.append(id_in_queue(frame))
            else:
                self._lanes.add(Job(header, body, are_retried))
        return broken

    async def _drop_expired(self) -> None:
        """Give up the claims of jobs that nobody waits for any more; their workers have answered 504."""
        expired = self._lanes.take_expired(self._clock.now_ms())
        if expired:
            self._metrics.jobs_dropped.labels("expired").inc(len(expired))
            await self._queue.reply((), [job.header.id for job in expired])

    def _send(self, batch: Batch, upstream: Upstream) -> None:
        task = asyncio.create_task(self._send_and_reply(batch, upstream), name="batch")
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("batch_task_failed", exc_info=task.exception())
        self._bell.ring()

    async def _send_and_reply(self, batch: Batch, upstream: Upstream) -> None:
        """One batch from its call to its replies."""
        metrics = self._metrics
        metrics.batches.labels(batch.reason).inc()
        metrics.batch_inputs.observe(batch.inputs)
        metrics.batch_jobs.observe(len(batch.jobs))
        metrics.queue_wait.observe((self._clock.now_ms() - batch.jobs[0].header.at) / 1000)
        metrics.held_inputs.set(self._lanes.inputs)
        with upstream.occupied(batch.inputs):
            replies = await self._caller.answer(batch.jobs, upstream)
        self._bell.ring()  # the slot is free, whatever becomes of the replies
        await self._reply(replies, max(job.header.deadline for job in batch.jobs))

    async def _reply(self, replies: Sequence[Reply], deadline_ms: int) -> None:
        """Store replies; while Redis is away, keep them as long as somebody may wait for them."""
        while True:
            try:
                late = await self._queue.reply(replies)
            except QueueUnavailable as error:
                left_s = (deadline_ms - self._clock.now_ms()) / 1000
                if left_s <= 0:
                    log.error("replies_lost", extra={"jobs": len(replies), "error": str(error)})  # noqa: TRY400
                    return
                if await self._link.wait_connected(left_s):
                    await Bell().wait(min(self._beat_s, left_s))  # connected, yet refused: not again at once
                continue
            if late:
                self._metrics.late_replies.inc(late)
                log.warning("replies_late", extra={"jobs": late})
            return

    async def _beat(self) -> None:
        """Four times a lease: renew it, and look after the batchers that did not."""
        now_mono_s = asyncio.get_running_loop().time()
        if now_mono_s < self._next_beat_mono_s:
            return
        if not await self._queue.renew() and self._lanes.inputs:
            log.warning("lease_lost", extra={"inputs": self._lanes.inputs})
            self._lanes.clear()  # by now the jobs are somebody else's
        given_back, doomed = await self._queue.reap()
        self._next_beat_mono_s = now_mono_s + self._beat_s
        self._may_have_jobs = True  # also a look at `retry`, which nobody watches
        if given_back:
            self._metrics.jobs_reclaimed.inc(given_back)
            log.warning("jobs_reclaimed", extra={"jobs": given_back})
        if doomed:
            self._metrics.jobs_dead.inc(len(doomed))
            log.error("jobs_dead", extra={"jobs": len(doomed)})
            await self._reply([failure(id_in_queue(frame), JobPoisonous()) for frame in doomed], 0)
