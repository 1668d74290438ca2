"""The batcher's working loop: a free slot first, then a claim, then a batch.

1. Nothing is claimed while no slot is free: what is in the queue can be taken by any batcher.
2. The lease is renewed by this loop and by nothing else, so it says that this loop moves.
3. No wait is longer than a quarter of the lease, nor than a second.
4. Whatever goes wrong in a turn is logged and the next turn begins; jobs stay claimed until they are answered.
"""

import asyncio
import logging
from collections.abc import Sequence

from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.claiming.claims import Holding
from autobatch_batcher.forming.lanes import Batch, Lanes, Moment, Reason
from autobatch_batcher.forming.shaping import Shape
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.replies import Reply, failure
from autobatch_batcher.upstreams.drain_rate import DrainRate
from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.replica import Upstream
from autobatch_batcher.upstreams.slots import Pool, Slot, limits_now
from autobatch_shared.bell import Bell, pause
from autobatch_shared.contract.errors import AutobatchError, JobPoisonous, QueueUnavailable
from autobatch_shared.contract.frames import id_in_queue
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.link import RETRY_PAUSE_S, RedisLink

log = logging.getLogger(__name__)

WINDOW_BATCHES = 8  # held under backlog, to choose jobs of like length from; more would be hoarding
BEAT_MAX_S = 1.0  # also with a long lease: health asks how long ago this loop moved
WATCH_BLOCK_S = 0.5  # well below half of the link's silence limit


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
        self.drain = DrainRate()
        self._queue = queue
        self._link = link
        self._pool = pool
        self._caller = caller
        self._lanes = lanes
        self._clock = clock
        self._metrics = metrics
        self._holding = Holding(queue, lanes, clock, metrics)
        self._beat_s = min(lease_ms / 4 / 1000, BEAT_MAX_S)
        self._next_beat_mono_s = float("-inf")
        self._bell = Bell()
        self._wait_max_s = wait_max_ms / 1000
        self._watch: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._is_away = False
        self._was_blocked = False

    @property
    def has_backlog(self) -> bool:
        """Whether more waits than is being worked on."""
        return self._lanes.inputs > 0 or self._holding.queued > 0

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
                self._is_away = False
            except QueueUnavailable as error:
                if not self._is_away:  # once an outage, not once a try
                    log.warning("queue_unavailable", extra={"error": str(error)})
                self._is_away = True
                await pause(RETRY_PAUSE_S)
                await self._link.wait_connected(self._beat_s)
            except Exception:
                log.exception("turn_failed")
                await pause(self._beat_s)
        if self._watch is not None:
            self._watch.cancel()  # it only looks at the queue: nothing can be lost

    async def _turn(self) -> None:
        """Do the next useful thing, or wait for a reason to do one."""
        await self._holding.recover()
        await self._beat()
        upstream = self._pool.free(asyncio.get_running_loop().time())
        if upstream is None:
            self._holding.may_have_jobs = True  # nobody watches meanwhile
            self._was_blocked = True  # what comes next waited already: no lingering for it
            await self._bell.wait(self._beat_s)
            return
        limits, shape = limits_now(upstream), upstream.tuner.shape
        wanted = self._inputs_wanted(limits, shape)
        if wanted > 0:
            if (linger_s := self._linger_s(upstream, limits)) > 0:
                await pause(linger_s)
            self._was_blocked = False
            at_once = max(limits.inputs_max * self._pool.slots_free - self._lanes.inputs, 1)
            await self._holding.claim(wanted, limits.inputs_max, at_once)
        if self._pool.calls_in_flight == 0:
            self._holding.pace.ended()
        await self._holding.drop_expired(upstream.fastest_call_s)
        moment = Moment(self._clock.now_ms(), upstream.calls_in_flight == 0, self._is_stopping)
        batch = self._lanes.take(moment, limits, shape)
        if batch is not None:
            self._send(batch, upstream, limits)
        elif not self._holding.may_have_jobs or wanted == 0:
            await self._wait(moment)

    def _inputs_wanted(self, limits: Limits, shape: Shape) -> int:
        """How many inputs to claim now: for the free slots, or, once these cannot take it all, a window to choose from.

        While slots are free here, others may have free slots too, and could send what would only be held here.
        """
        holding, held = self._holding, self._lanes.inputs
        if self._is_stopping or not (holding.may_have_jobs or holding.has_bulk):
            return 0
        slots_free = max(self._pool.slots_free, 1)  # the one of a trial is not counted
        is_backlog = holding.queued > 0 or (slots_free == 1 and self._pool.calls_in_flight > 0)
        window = limits.inputs_max * (WINDOW_BATCHES if is_backlog else slots_free)
        if held >= window / 2 and self._lanes.has_ready(limits, shape):
            return 0  # there is choice enough
        return max(window - held, 0)

    def _linger_s(self, upstream: Upstream, limits: Limits) -> float:
        """How long to let the queue fill: for a whole batch under a storm, for the rest of a burst after silence."""
        holding, held = self._holding, self._lanes.inputs
        if self._lanes.is_adaptive and held == holding.queued == self._pool.calls_in_flight == 0:
            if self._was_blocked:
                return 0.0
            return holding.pace.burst_linger_s(upstream.tuner.cost.fixed_s, self._wait_max_s)
        return holding.pace.linger_s(limits.inputs_max - held - holding.queued, self._wait_max_s)

    async def _wait(self, moment: Moment) -> None:
        """Wait for a job, a finished call, the end of somebody's wait, or the next beat."""
        if not self._is_stopping and not self._holding.may_have_jobs and self._watch is None:
            self._watch = asyncio.create_task(self._watch_queue(), name="queue-watch")
        patience_s = self._beat_s
        if (due_ms := self._lanes.due_ms()) is not None:
            patience_s = min(patience_s, max(due_ms - moment.now_ms, 1) / 1000)
        await self._bell.wait(patience_s)

    async def _watch_queue(self) -> None:
        try:
            if await self._queue.watch(WATCH_BLOCK_S):
                self._holding.may_have_jobs = True
        except QueueUnavailable:
            await pause(self._beat_s)  # the next turn's claim tells what is wrong
        finally:
            self._watch = None
            self._bell.ring()

    def _send(self, batch: Batch, upstream: Upstream, limits: Limits) -> None:
        slot = Slot(upstream, batch.inputs, batch.units, was_busy=upstream.calls_in_flight > 0 or self.has_backlog)
        if batch.reason is Reason.IDLE:
            self._holding.pace.left_alone(asyncio.get_running_loop().time())
        self._metrics.note_batch(batch, limits.inputs_max, self._clock.now_ms(), self._lanes.inputs)
        task = asyncio.create_task(self._send_and_reply(batch, slot), name="batch")
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if self._is_stopping:
            self._bell.ring()

    async def _send_and_reply(self, batch: Batch, slot: Slot) -> None:
        """One batch from its call to its replies. Whatever goes wrong, every job gets one."""
        try:
            replies = await self._caller.answer(batch.jobs, slot)
        except Exception:
            log.exception("batch_failed_unforeseen", extra={"jobs": len(batch.jobs)})
            replies = [failure(job.header.id, AutobatchError()) for job in batch.jobs]
        finally:
            slot.release()
            self._bell.ring()  # the slot is free, whatever becomes of the replies
        self.drain.answered(sum([job.header.n for job in batch.jobs]))
        await self._reply(replies, max(job.header.deadline for job in batch.jobs))

    async def _reply(self, replies: Sequence[Reply], deadline_ms: int) -> None:
        """Store replies; while Redis is away, keep them as long as somebody may wait for them."""
        good = [(reply.job, reply.frame) for reply in replies if not reply.is_failure]
        failures = [(reply.job, reply.frame) for reply in replies if reply.is_failure]
        late = None
        while late is None:
            try:
                late = await self._queue.reply(good, failures)
            except QueueUnavailable as error:
                left_s = (deadline_ms - self._clock.now_ms()) / 1000
                if left_s <= 0:
                    log.error("replies_lost", extra={"jobs": len(replies), "error": str(error)})  # noqa: TRY400
                    self._holding.doubt()
                    break
                if await self._link.wait_connected(left_s):
                    await pause(min(self._beat_s, left_s))  # connected, yet refused: not again at once
        self._holding.let_go(reply.job for reply in replies)
        if late:
            self._metrics.late_replies.inc(late)
            log.warning("replies_late", extra={"jobs": late})

    async def _beat(self) -> None:
        """Four times a lease: renew it, and look after the batchers that did not."""
        now_mono_s = asyncio.get_running_loop().time()
        if now_mono_s < self._next_beat_mono_s:
            return
        if not await self._queue.renew() and self._lanes.inputs:
            log.warning("lease_lost", extra={"inputs": self._lanes.inputs})
            self._holding.lose_lanes()
        try:
            given_back, doomed = await self._queue.reap()
        except QueueUnavailable:
            self._holding.doubt()  # it may have given us jobs to give up
            raise
        self._next_beat_mono_s = now_mono_s + self._beat_s
        self._holding.may_have_jobs = True  # also a look at `retry`, which nobody watches
        if given_back:
            self._metrics.jobs_reclaimed.inc(given_back)
            log.warning("jobs_reclaimed", extra={"jobs": given_back})
        if doomed:
            self._metrics.jobs_dead.inc(len(doomed))
            log.error("jobs_dead", extra={"jobs": len(doomed)})
            await self._reply([failure(id_in_queue(frame), JobPoisonous()) for frame in doomed], 0)
