"""What this batcher has claimed: from the claim until the reply is stored, nothing of it is forgotten.

1. `_in_hand` has the id of every job that is in a lane or in a call. What Redis has claimed for us beside these was
   claimed by a command whose answer was lost, and is fetched. What is in a lane and not claimed any more was lost with
   Redis's data: it is dropped, for its worker pushes it again.
2. A job leaves by its reply, which an expired one gets too, or with the lease.
3. No job is held twice: one that comes again while it is in a call is answered by that call.

More than 250 lines, because whatever adds a job to `_in_hand` or takes one out is here.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from math import ceil

from msgspec.structs import replace

from autobatch_batcher.calling.blame.trials import suspects_at_once
from autobatch_batcher.calling.outcomes import failure, unanswered
from autobatch_batcher.forming.bulk_share import BulkShare
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.recent_calls import CallTime
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.capacity import MinuteBudget
from autobatch_shared.contract.errors import (
    AutobatchError,
    DeadlineExceeded,
    FrameOfAnotherVersion,
    MalformedFrame,
    QueueFull,
    QueueUnavailable,
)
from autobatch_shared.contract.frames import JobHeader, decode_job, id_in_queue, version_fault
from autobatch_shared.redis.batcher_queue import BatcherQueue, Claim
from autobatch_shared.redis.clock import RedisClock

log = logging.getLogger(__name__)

SUSPECTS_PER_CLAIM = 4  # or as many as have to share a call
VERSION_LOG_EVERY_S = 60.0  # a worker of another version sends job after job
CLOCK_STEP_MS = 1000  # no job comes from so far in the future, unless Redis's clock stepped back

_Refused = list[tuple[str, bytes]]  # the id of a job and its reply


class Claims:
    """The batcher's record of its claims, the same here as in Redis.

    Attributes:
        may_have_jobs: Whether a claim may bring something.
        has_bulk: Whether bulk work waits.
        came_alone: Whether the last claim brought no more than one job of the queue.
        losses: How often the lease has ended or its claims were lost: what was sent before is answered, and not sent again.
        queued: Number of jobs, bulk ones not counted, that were left in the queue by the last claim.
        batchers: Number of batchers that had a lease at the last claim, this one included.
        mono_s: Returns the time of the clock by which is said when a claim was asked for.

    Args:
        queue: The batcher's end of the queue, from which jobs are claimed.
        lanes: Hold the claimed jobs until they are sent.
        clock: Redis's clock, set anew by each claim.
        metrics: Counts the jobs that are dropped.
        call_s: Returns the seconds that a call takes at a time of the loop, 0 where that is unknown.
    """

    def __init__(
        self, queue: BatcherQueue, lanes: Lanes, clock: RedisClock, metrics: Metrics, call_s: Callable[[float], float]
    ) -> None:
        self.may_have_jobs = True
        self.has_bulk = False
        self.came_alone = False
        self._queue = queue
        self._lanes = lanes
        self._clock = clock
        self.mono_s = clock.mono_s
        self._metrics = metrics
        self._call_s = call_s
        self._suspects_at_once = 1
        self.queued = 0
        self.batchers = 1
        self.losses = 0
        self._share = BulkShare()
        self._in_hand: set[str] = set()
        self._must_recover = False
        self._version_logged_mono_s = float("-inf")

    async def claim(self, inputs: int, call_inputs_max: int, at_once: int, upstream: Replica | None = None) -> int:
        """Claim jobs and put them into the lanes. Return the inputs that came, bulk work not counted.

        Args:
            inputs: Number of inputs wanted, beside those that are held; 0: only a call is to be granted for these.
            call_inputs_max: The most inputs in one call: bulk work is claimed to fill one, not to wait here.
            at_once: Inputs that could be sent now; beyond them this batcher takes its share of what waits.
            upstream: What they are for; if its budget allows none now, it is not to be called before it does.

        Raises:
            QueueUnavailable: Redis did not answer; what was claimed, if anything, is fetched by `recover`.
        """
        bulk = self._share.due(call_inputs_max) if self.has_bulk and inputs else 0
        fill = max(0, call_inputs_max - self._lanes.inputs) if inputs else 0
        suspects = max(SUSPECTS_PER_CLAIM, self._suspects_at_once) if inputs else 0
        holds_jobs = self._lanes.inputs > 0
        pacing = None if upstream is None else upstream.pacing
        budget = None if pacing is None else pacing.budget(asyncio.get_running_loop().time(), holds_jobs=holds_jobs)
        asked_s = self.mono_s()
        try:
            claim = await self._queue.claim(inputs, suspects, bulk, fill, at_once, budget)
        except QueueUnavailable:
            self.doubt()
            raise
        if upstream is not None and pacing is not None:
            is_granted = bool(claim.suspects or claim.fresh or claim.bulk) or (holds_jobs and not claim.wait_ms)
            now_s = asyncio.get_running_loop().time()
            pacing.claimed(claim.calls_left, claim.tokens_left, now_s, is_granted=is_granted)
            if claim.wait_ms:
                self._metrics.paced_claims.inc()
                upstream.congestion.wait(now_s + claim.wait_ms / 1000)
        return await self.take(claim, asked_s, call_inputs_max, budget)

    async def take(self, claim: Claim, asked_s: float, call_inputs_max: int, budget: MinuteBudget | None = None) -> int:
        """Put what a claim brought into the lanes, if anything off this budget; arguments and result are those of `claim`.

        Args:
            claim: What it brought.
            asked_s: When it was asked for, by `mono_s`.
            call_inputs_max: As of `claim`.
            budget: Of this minute, where there is one.
        """
        held = self._lanes.inputs
        had_bulk = self.has_bulk
        self._clock.sync(claim.redis_ms, asked_s)
        self.queued = claim.queued
        self.batchers = claim.batchers
        self.came_alone = len(claim.fresh) <= 1
        self.may_have_jobs = claim.queued > 0 or claim.suspects_left > 0
        self.has_bulk = claim.queued_bulk > 0
        if claim.dropped:
            self._metrics.jobs_dropped.labels("gone").inc(claim.dropped)
        if claim.malformed:
            self._metrics.jobs_dropped.labels("malformed").inc(claim.malformed)
            log.error("queue_values_dropped", extra={"values": claim.malformed})
        if claim.foreign:
            self._log_version("jobs_left_to_their_version", jobs=claim.foreign)
        refused = self._hold(claim.suspects, are_suspects=True) + self._hold(claim.fresh, budget)
        others = self._lanes.inputs - held
        refused += self._hold(claim.bulk, budget, are_bulk=True)
        if had_bulk or self.has_bulk:
            got = self._lanes.inputs - held
            self._share.note(others, got - others, is_waiting=self.has_bulk, inputs_max=call_inputs_max)
        if claim.suspects:
            self._group_suspects(claim.suspects_left, call_inputs_max)
        self._note_age()
        await self._give_up(refused)
        return others

    def _group_suspects(self, left: int, call_inputs_max: int) -> None:
        """Learn how many of the suspects that are left share a call, as the last ones have as much time as those held now."""
        now_mono_s = self._clock.mono_s()
        left_s = min([job.ends_mono_s - now_mono_s for job in self._lanes if job.is_suspect], default=0.0)
        call_s = self._call_s(asyncio.get_running_loop().time())
        ours = ceil(left / max(self.batchers, 1))
        self._suspects_at_once = min(suspects_at_once(ours, left_s * 1000, call_s * 1000), call_inputs_max)

    def doubt(self) -> None:
        """Say that Redis may have claimed for us what we have not heard of."""
        self._must_recover = True

    async def recover(self) -> None:
        """Where there is doubt, fetch what is claimed for us and not in hand, and drop what is held and not claimed."""
        if not self._must_recover:
            return
        self._must_recover = False
        try:
            claimed = await self._queue.claimed()
        except QueueUnavailable:
            self.doubt()
            raise
        lost = {job.header.id for job in self._lanes} - claimed.keys()
        if lost:
            log.warning("claims_lost", extra={"jobs": len(lost)})
            self.losses += 1
            self._lanes.take_out(lost)
            self.let_go(lost)
        missed = [frame for job, frame in claimed.items() if job not in self._in_hand]
        if missed:
            log.warning("claims_recovered", extra={"jobs": len(missed)})
            await self._give_up(self._hold(missed))

    async def drop_expired(self, takes: CallTime) -> bool:
        """Answer the jobs for which an answer would come too late, at once; `takes` is what a call takes. Return whether there were any.

        A worker that has time left for one knows by that of a step of Redis's clock.
        """
        expired = self._lanes.take_expired(self._clock.now_ms(), takes)
        if expired:
            await self._drop(expired, "expired", DeadlineExceeded())
        return bool(expired)

    async def give_back(self, jobs: Sequence[Job]) -> None:
        """Let other batchers claim jobs that are held."""
        ids = [job.header.id for job in sorted(jobs, key=lambda job: job.header.at, reverse=True)]
        try:
            given_back = await self._queue.give_back(ids)
        except QueueUnavailable:
            self.doubt()
            raise
        self._lanes.take_out(set(ids))
        self.let_go(ids)
        log.info("jobs_given_back", extra={"jobs": given_back})

    async def refuse(self, jobs: Sequence[str]) -> None:
        """Answer jobs at once that are held, and that no call could answer in the time that is aimed at."""
        await self._drop(
            self._lanes.take_out(set(jobs)), "target", QueueFull("No answer is possible within TARGET_P99_MS")
        )

    async def _drop(self, jobs: Sequence[Job], reason: str, error: AutobatchError) -> None:
        self._metrics.jobs_dropped.labels(reason).inc(len(jobs))
        outcomes = [unanswered(job, error, self._clock.now_ms()) for job in jobs]
        self.let_go([each.job for each in outcomes])
        await self._give_up([(each.job, each.frame) for each in outcomes])

    def let_go(self, jobs: Iterable[str]) -> None:
        """Take answered jobs off the list."""
        self._in_hand.difference_update(jobs)

    def lose_lanes(self) -> None:
        """Forget what has not been sent: the lease has ended, and another batcher may have it now."""
        self.losses += 1
        if not self._lanes.inputs:
            return
        log.warning("lease_lost", extra={"inputs": self._lanes.inputs})
        self.let_go([job.header.id for job in self._lanes])
        self._lanes.clear()

    def _note_age(self) -> None:
        oldest_ms = self._lanes.oldest_ms()
        age_s = 0.0 if oldest_ms is None else max(0, self._clock.now_ms() - oldest_ms) / 1000
        self._metrics.queue_age_s = age_s

    def _hold(
        self,
        frames: Sequence[bytes],
        budget: MinuteBudget | None = None,
        *,
        are_suspects: bool = False,
        are_bulk: bool = False,
    ) -> _Refused:
        """Put frames into the lanes; return what to tell of those that cannot be read."""
        refused = []
        now_ms, now_mono_s = self._clock.now_ms(), self._clock.mono_s()
        group, at_once = "", self._suspects_at_once if are_suspects else 1
        for place, frame in enumerate(frames):
            try:
                header, body = decode_job(frame)
            except FrameOfAnotherVersion as error:
                self._log_version("frame_of_another_version", version=error.version, job=error.job)
                self._metrics.jobs_dropped.labels("version").inc()
                refused.append((error.job, version_fault(error)))
            except MalformedFrame as error:
                log.error("frame_malformed", extra={"error": str(error), "frame_bytes": len(frame)})  # noqa: TRY400
                self._metrics.jobs_dropped.labels("malformed").inc()
                job = id_in_queue(frame)
                refused.append((job, failure(job, MalformedFrame("The job was damaged on its way")).frame))
            else:
                if header.id not in self._in_hand:
                    self._in_hand.add(header.id)
                    header = in_our_time(header, now_ms)
                    ends_mono_s = now_mono_s + (header.deadline - now_ms) / 1000
                    if at_once > 1 and place % at_once == 0:
                        group = header.id
                    charged = 0 if budget is None else budget.charged(header.n, len(body))
                    since_ms = now_ms if are_bulk else None
                    self._lanes.add(Job(header, body, are_suspects, ends_mono_s, since_ms, group, charged))
        self._metrics.held_inputs = self._lanes.inputs
        return refused

    def _log_version(self, event: str, **facts: object) -> None:
        now_mono_s = asyncio.get_running_loop().time()
        if now_mono_s - self._version_logged_mono_s >= VERSION_LOG_EVERY_S:
            self._version_logged_mono_s = now_mono_s
            log.error(event, extra=facts)

    async def _give_up(self, replies: _Refused) -> None:
        """Answer jobs that are not called, and give up their claims."""
        if not replies:
            return
        try:
            await self._queue.reply((), replies)
        except QueueUnavailable:
            self.doubt()
            raise


def in_our_time(header: JobHeader, now_ms: int) -> JobHeader:
    """Return the header; of a job from the future with the same time left, as Redis's clock stepped back since its push."""
    ahead_ms = header.at - now_ms
    if ahead_ms <= CLOCK_STEP_MS:
        return header
    return replace(header, at=now_ms, deadline=header.deadline - ahead_ms)
