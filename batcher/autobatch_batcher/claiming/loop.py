"""The batcher's working loop: a free slot first, then a claim, then a batch.

1. Nothing is claimed while no slot is free: what is in the queue can be taken by any batcher.
2. The lease is renewed by this loop and by nothing else, so it says that this loop moves.
3. No wait is longer than a quarter of the lease, nor than a second.
4. Whatever goes wrong in a turn is logged and the next turn begins; jobs stay claimed until they are answered.
5. Who was woken by a push claims, or wakes another batcher.

More than 250 lines, because a turn, what it waits for and the replies that wake it share what is being called, and the lease.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from autobatch_batcher.calling.outcomes import AnsweringBatches, JobOutcome, unanswered
from autobatch_batcher.claiming.claims import Claims
from autobatch_batcher.claiming.drain_rate import AnsweredCall, DrainRate
from autobatch_batcher.claiming.lease import Lease
from autobatch_batcher.claiming.recent_batches import RecentBatches
from autobatch_batcher.claiming.replies import Replies
from autobatch_batcher.claiming.waiting import WaitingRoom
from autobatch_batcher.claiming.watch import Watch
from autobatch_batcher.forming.lanes import Batch, Lanes
from autobatch_batcher.forming.policy import CallMoment, ClaimMoment, Policy, Wanted
from autobatch_batcher.jobs import named
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.bell import Bell, let_others_run, pause
from autobatch_shared.contract.errors import AutobatchError, QueueUnavailable
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.link import RETRY_PAUSE_S, RedisLink
from autobatch_shared.watching.activity import SeenBatch

log = logging.getLogger(__name__)


class WorkingLoop:
    """Claims, forms and sends until told to stop.

    Attributes:
        is_stopping: Whether it was told to stop.
        told_to_stop: Is called when it is.

    Args:
        queue: The batcher's end of the queue, over `link`.
        link: The connection to Redis; it is watched for outages.
        pool: The upstreams.
        caller: Makes the calls.
        lanes: Hold what was claimed.
        policy: Decides how much is claimed and which batch leaves.
        clock: Redis's clock, set anew by each claim.
        metrics: Counts what this process does.
        lease_ms: The lease's length in milliseconds, the same as the queue's.
    """

    def __init__(
        self,
        queue: BatcherQueue,
        link: RedisLink,
        pool: Pool,
        caller: AnsweringBatches,
        lanes: Lanes,
        policy: Policy,
        clock: RedisClock,
        metrics: Metrics,
        *,
        lease_ms: int,
    ) -> None:
        self.moved_mono_s = float("-inf")
        self.is_stopping = False
        self.told_to_stop: Callable[[], None] = lambda: None
        self.drain = DrainRate()
        self.recent = RecentBatches()
        self._queue = queue
        self._link = link
        self._connections = 0  # of the link, when claims were compared last
        self._steps_faster = 0  # of the upstreams, when the last batch was answered
        self._pool = pool
        self._caller = caller
        self._lanes = lanes
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._claims = Claims(queue, lanes, clock, metrics, pool.slowest_call_s)
        self._waiting = WaitingRoom(lanes)
        self._lease = Lease(queue, self._claims, clock, metrics, lease_ms)
        self._replies = Replies(queue, link, self._claims, clock, metrics, retry_s=self._lease.beat_s)
        self._bell = Bell()
        for upstream in pool.upstreams:
            upstream.load.made_room = self._bell.ring
        self._watch = Watch(queue, self._claims, self._bell, pause_max_s=self._lease.beat_s)
        self._sending: set[asyncio.Task[None]] = set()
        self._is_redis_unavailable = False
        self._was_blocked = False
        self._waits_for_push_only = False
        self._loop: asyncio.AbstractEventLoop

    @property
    def refusal(self) -> str:
        """Redis's words where it has just refused to store replies; empty: it has not."""
        return self._replies.refusal

    @property
    def _has_waiting(self) -> bool:
        """Whether anything waits beside what is being worked on."""
        return self._lanes.inputs > 0 or self._claims.queued > 0

    @property
    def _is_drained(self) -> bool:
        """Whether it was told to stop, and all that was claimed has been answered."""
        return self.is_stopping and self._lanes.inputs == 0 and not self._sending and not self._watch.is_on

    def _has_backlog(self, call_inputs_max: int) -> bool:
        """Whether more waits than one call carries."""
        return self._claims.queued > 0 or self._lanes.inputs > call_inputs_max

    def stop(self) -> None:
        """Claim nothing more; `run` returns when everything claimed has been answered."""
        self.is_stopping = self._pool.is_stopping = True
        self.told_to_stop()
        self._bell.ring()

    def go_on_by(self, policy: Policy) -> None:
        """Form batches by another policy from the next turn on; it has learnt nothing yet."""
        self._policy = policy
        self._bell.ring()

    def wake(self) -> None:
        """Look again: an upstream is back, or may be called now."""
        self._bell.ring()

    async def run(self) -> None:
        """Work until stopped and drained."""
        self._loop = asyncio.get_running_loop()  # once: before Python 3.12 each look-up is a system call
        while not self._is_drained:
            self.moved_mono_s = self._loop.time()
            try:
                await self._turn()
                self._is_redis_unavailable = False
            except QueueUnavailable as error:
                if not self._is_redis_unavailable:  # once an outage, not once a try
                    log.warning("queue_unavailable", extra={"error": str(error)})
                self._is_redis_unavailable = True
                self.drain.interrupt(self._loop.time())
                await pause(RETRY_PAUSE_S)
                await self._link.wait_connected(self._lease.beat_s)
            except Exception:
                log.exception("turn_failed")
                await pause(self._lease.beat_s)
        with suppress(QueueUnavailable):
            await self._wake_another()

    async def _turn(self) -> None:
        """Do the next useful thing, or wait for a reason to do one."""
        if self._link.connections != self._connections:  # Redis may have come back with other data
            self._connections = self._link.connections
            self._claims.doubt()
        await self._claims.recover()
        await self._keep_the_lease()
        await self._take_watched()
        if self._is_drained:  # nothing would end a wait before the next beat
            return
        await self._look_at_waiting()
        stands_by = self._pool.stands_by
        waiting = self._lanes.inputs + self._claims.queued
        replica = self._pool.free(self._loop.time(), self._lanes.oldest_inputs(), waiting)
        if replica is None or (stands_by and self._lanes.inputs == 0):
            await self._wait_for_slot()
            return
        may_have_jobs = not stands_by and (self._claims.may_have_jobs or self._claims.has_bulk)
        if self._lanes.inputs == 0 and not may_have_jobs:
            await self._wait_for_push(replica)
            return
        moment = self._claim_moment(replica, may_have_jobs=may_have_jobs)
        wanted = self._policy.wanted(moment, self._lanes)
        if not await self._bring(wanted, replica):
            return
        self._note_idle()
        limits = self._pool.limits_now(replica)  # after the claim, which may have found more batchers, that share them
        now_s = self._loop.time()
        has_dropped = await self._claims.drop_expired(
            replica.call_time(now_s, limits.inputs_max, is_scarce=self._has_backlog(limits.inputs_max))
        )
        now = self._call_moment(replica, limits)
        if hopeless := self._policy.hopeless(now, self._lanes):
            await self._claims.refuse(hopeless)
        batch = self._policy.take(now, self._lanes)
        if batch is not None:
            self._send(batch, replica, limits)
            await let_others_run()  # the call: the upstream may as well compute during the next turn, 50 us
        elif not has_dropped and (not self._claims.may_have_jobs or wanted.inputs == 0):
            await self._wait_for_work(now, replica)

    async def _wait_for_push(self, replica: Replica) -> None:
        """Wait while nothing is held and nothing is in the queue: the end of a call changes nothing then."""
        await self._wake_another()
        self._note_idle()
        self._watch_on(replica)
        self._waits_for_push_only = self._watch.is_on
        try:
            await self._bell.wait(self._wait_max_s())
        finally:
            self._waits_for_push_only = False

    def _note_idle(self) -> None:
        if self._pool.calls_in_flight == 0:
            self._policy.note_idle()

    async def _take_watched(self) -> None:
        """Take what the watch has brought; once this batcher stops, let the watch end."""
        if (brought := self._watch.take()) is not None:
            self._note_claim(await self._claims.take(*brought))
        if self.is_stopping:
            await self._watch.hasten()

    async def _look_at_waiting(self) -> None:
        """Answer what cannot wait for an upstream any more, and let others have the rest where theirs are well and ours are not.

        A suspect stays: only here it is known as one.
        """
        if not self._waiting.is_empty and (due := self._waiting.take_due(self._clock.mono_s())):
            await self._replies.store(due, 0)
        if self._pool.are_others_better(self._loop.time()):
            jobs = [job for job in self._lanes if not job.is_suspect]
            if jobs:
                await self._claims.give_back(jobs)
                self._waiting.leave(jobs)

    async def _keep_the_lease(self) -> None:
        now_mono_s = self._loop.time()
        if now_mono_s >= self._lease.next_beat_mono_s:
            doomed = await self._lease.beat(now_mono_s)
            if doomed:
                await self._replies.store(doomed, 0)

    def _claim_moment(self, replica: Replica, *, may_have_jobs: bool) -> ClaimMoment:
        return ClaimMoment(
            limits=self._pool.limits_now(replica),
            shape=replica.tuner.shape,
            may_have_jobs=may_have_jobs,
            queued=self._claims.queued,
            slots_free=self._pool.slots_free,
            calls_in_flight=self._pool.calls_in_flight,
            call_fixed_s=replica.tuner.cost.flat_s,
            was_blocked=self._was_blocked,
            is_draining=self.is_stopping,
        )

    def _call_moment(self, replica: Replica, limits: Limits) -> CallMoment:
        tuner, load = replica.tuner, replica.load
        return CallMoment(
            limits=limits,
            shape=tuner.shape,
            room_inputs=self._pool.room(replica),
            now_ms=self._clock.now_ms(),
            is_idle=replica.is_idle,
            idle_places=self._pool.idle_places,
            busy_ms=1000 * max(0.0, load.ends_s - self._loop.time()),
            is_draining=self.is_stopping,
            cost=tuner.cost,
            is_one_by_one=tuner.is_one_by_one,
            ahead_s=load.expected_s if tuner.is_one_by_one else 0.0,
            ahead_inputs=load.inputs,
            calls_max=tuner.setting.calls,
            ask_again_s=tuner.ask_again_s(self._loop.time()),
        )

    async def _bring(self, wanted: Wanted, replica: Replica) -> bool:
        """Claim what is wanted; return whether the upstream may still be called: else its budget is spent."""
        needs_call = replica.pacing is not None and replica.pacing.needs_call and self._lanes.inputs > 0
        if wanted.inputs > 0 or needs_call:
            await self._claim(wanted, replica)
        else:
            await self._wake_another()
        return replica.pacing is None or replica.congestion.pause_ends_s <= self._loop.time()

    async def _claim(self, wanted: Wanted, replica: Replica) -> None:
        if wanted.linger_s > 0:
            await pause(wanted.linger_s)
        self._was_blocked = False
        at_once = self._lanes.sendable(wanted.call_inputs_max, self._pool.slots_free)
        inputs = wanted.inputs
        if replica.pacing is not None and not replica.pacing.counts_calls:
            # Tokens are taken off by the claim: those of one call are all that are taken. Calls are, too, and more jobs fill them better.
            inputs = min(inputs, max(wanted.call_inputs_max - self._lanes.inputs, 1))
        rings = self._watch.rings
        self._note_claim(await self._claims.claim(inputs, wanted.call_inputs_max, at_once, replica))
        if self._watch.rings != rings:  # for a job that came behind this claim, and for which no other batcher is woken
            self._watch.was_woken = self._claims.may_have_jobs = True

    def _note_claim(self, inputs: int) -> None:
        self._pool.batchers = self._claims.batchers
        self._watch.was_woken = False
        self._policy.note_claim(inputs, self._loop.time())

    async def _wake_another(self) -> None:
        """Let another batcher do what this one was woken for and has no use for now."""
        if self._watch.was_woken:
            await self._queue.ring()
            self._watch.was_woken = False

    async def _wait_for_slot(self) -> None:
        await self._wake_another()
        self._claims.may_have_jobs = True  # the queue is not watched meanwhile
        self._was_blocked = True  # what comes next has waited already: no lingering for it
        now_mono_s = self._loop.time()
        wait_s = self._wait_max_s()
        if (free_s := self._pool.next_free_s(now_mono_s)) is not None:
            wait_s = min(wait_s, free_s - now_mono_s)
        await self._bell.wait(wait_s)

    def _wait_max_s(self) -> float:
        """Seconds until the next beat, or until a job that waits for its upstream has to be answered."""
        if self._waiting.is_empty:
            return self._lease.beat_s
        return min(self._lease.beat_s, max(self._waiting.due_mono_s - self._clock.mono_s(), 0.001))

    async def _wait_for_work(self, now: CallMoment, replica: Replica) -> None:
        """Wait for a job, a finished call, the end of a job's wait for companions, or the next beat."""
        self._watch_on(replica)
        wait_s = self._wait_max_s()
        if (due_ms := self._policy.due_ms(self._lanes)) is not None:
            wait_s = min(wait_s, max(due_ms - now.now_ms, now.busy_ms, 1) / 1000)
        await self._bell.wait(wait_s)

    def _watch_on(self, replica: Replica) -> None:
        """Let a push wake the loop, if it is not watched for yet and would bring something."""
        if not (self.is_stopping or self._claims.may_have_jobs or self._watch.is_on or self._pool.stands_by):
            self._watch.begin(*self._wanted_at_once(replica))

    def _wanted_at_once(self, replica: Replica) -> tuple[Wanted | None, int]:
        """Return what to claim in the very moment of the next push, and how many inputs could be sent then.

        It is None where it pays to wait for companions.
        With 512 requests in flight claims at once made batches smaller, which cost a tenth of the batcher's CPU.
        """
        if self._claims.came_alone and self._lanes.inputs == 0 and not self._claims.has_bulk and replica.pacing is None:
            moment = self._claim_moment(replica, may_have_jobs=True)
            wanted = self._policy.wanted(moment, self._lanes)
            if moment.slots_free > 0 and wanted.inputs > 0 and wanted.linger_s == 0:
                return wanted, self._lanes.sendable(wanted.call_inputs_max, moment.slots_free)
        return None, 0

    def _send(self, batch: Batch, replica: Replica, limits: Limits) -> None:
        now_s, load, cost = self._loop.time(), replica.load, replica.tuner.cost
        now_ms = self._clock.now_ms()
        waited_s = (now_ms - batch.oldest_ms) / 1000
        expected_s = cost.seconds(cost.law.units(batch.units, batch.useful, batch.inputs))
        waited_calls = waited_s / expected_s if expected_s and not self._policy.has_target else 0.0
        replica.tuner.note_wait(batch.waited_share(now_ms), waited_calls)
        slot = Slot(
            replica,
            batch.inputs,
            batch.units,
            was_busy=load.calls > 0 or self._has_waiting,
            waited_s=waited_s,
            expected_s=expected_s,
        )
        self._policy.note_sent(batch, now_s)
        load.ends_s = replica.tuner.ends_s(now_s, load.ends_s, batch.units, batch.useful, batch.inputs)
        if not self._waiting.is_empty:
            self._waiting.leave(batch.jobs)
        self._metrics.note_batch(batch, limits.inputs_max, now_ms, self._lanes.inputs)
        task = asyncio.create_task(self._send_and_reply(batch, slot, limits.inputs_max), name="batch")
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if self.is_stopping:
            self._bell.ring()

    async def _send_and_reply(self, batch: Batch, slot: Slot, room: int) -> None:
        """One batch from its call to its replies. Whatever goes wrong, every job gets one, or waits for another call."""
        losses = self._claims.losses
        deadline_ms = max([job.header.deadline for job in batch.jobs])
        told: set[str] = set()

        async def tell(outcomes: list[JobOutcome]) -> None:
            done = [outcome for outcome in outcomes if not outcome.may_wait and outcome.job not in told]
            told.update([outcome.job for outcome in done])
            if done:
                await self._replies.store(done, deadline_ms)

        try:
            outcomes = await self._caller.answer(batch.jobs, slot, early=tell)
        except Exception:
            log.exception("batch_failed_unforeseen", extra=named(batch.jobs))
            outcomes = [unanswered(job, AutobatchError(), self._clock.now_ms()) for job in batch.jobs]
        finally:
            slot.release()  # whatever becomes of the replies
            now_s = self._loop.time()
            self._policy.note_ended(batch.inputs, now_s + slot.upstream.tuner.ask_again_s(now_s))
        answered, failed = self._note_answered(batch, outcomes, room)
        self._go_on(has_failed=failed > 0)
        self._note_ended(batch, slot, room, answered, failed)
        if told:
            outcomes = [outcome for outcome in outcomes if outcome.job not in told]
        if any(outcome.may_wait for outcome in outcomes) and losses == self._claims.losses:
            outcomes = self._let_wait(batch, outcomes)
        if not outcomes:
            return
        await self._replies.store(outcomes, deadline_ms)
        self._policy.note_answered(batch.jobs, self._clock.now_ms())

    def _go_on(self, *, has_failed: bool) -> None:
        """Let the working loop look again where the end of a call may change what it does."""
        if self._has_waiting:
            self._bell.ring()  # the next claim and the replies leave in one message
        elif has_failed or not self._waits_for_push_only:
            self._loop.call_soon(self._bell.ring)  # the replies leave before a turn that has little to do
        elif not self._watch.has_brought:
            self._note_idle()

    def _note_answered(self, batch: Batch, outcomes: Sequence[JobOutcome], room: int) -> tuple[int, int]:
        """Note a batch, by the inputs that the upstream computed: calls that their deadlines end are many, and short.

        Returns:
            These inputs, and how many jobs failed.
        """
        failed = {outcome.job: outcome.is_late for outcome in outcomes if outcome.is_failure}
        inputs = sum([job.header.n for job in batch.jobs if job.header.id not in failed])
        now_s, calls = self._loop.time(), self._pool.calls_in_flight + 1
        has_failed = not (inputs or all(failed.values()))
        steps_before, self._steps_faster = self._steps_faster, self._pool.steps_faster
        is_faster = self._steps_faster > steps_before
        self.drain.answered.append(AnsweredCall(now_s, inputs, calls, self._has_backlog(room), has_failed, is_faster))
        return inputs, len(failed)

    def _note_ended(self, batch: Batch, slot: Slot, room: int, answered: int, failed: int) -> None:
        """Note a batch for people who look at it; a turn of `recent` does the rest."""
        now_ms, took_ms, units = self._clock.now_ms(), round(1000 * slot.called_s, 1), batch.units
        seen = SeenBatch(
            ended_ms=now_ms,
            upstream=slot.upstream.name,
            reason=batch.reason.value,
            inputs=batch.inputs,
            room=room,
            jobs=len(batch.jobs),
            padding=round(1 - batch.useful / units, 3) if units else 0.0,
            waited_ms=max(0, int(now_ms - took_ms - batch.oldest_ms)),
            took_ms=took_ms,
            failed=failed,
            units=units,
        )
        self.recent.ended.append((seen, answered))

    def _let_wait(self, batch: Batch, outcomes: Sequence[JobOutcome]) -> list[JobOutcome]:
        """Put the jobs back that may be called again, and return the outcomes of the others."""
        jobs = {job.header.id: job for job in batch.jobs}
        for outcome in outcomes:
            if outcome.may_wait:
                self._waiting.enter(jobs[outcome.job], outcome)
        self._bell.ring()
        return [outcome for outcome in outcomes if not outcome.may_wait]
