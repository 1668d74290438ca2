"""Jobs that wait here and that Redis does not have any more: found by comparing, and pushed again once.

1. All that waits is compared with what Redis has after each new connection, and whenever `epoch` has changed or Redis's
   clock has stepped. Replies that were missed meanwhile are fetched by name.
2. Of what has waited for OLD_S the oldest unanswered jobs are compared every COMPARE_EVERY_S, and all if one of them is lost: a key
   that was deleted by hand, or a job so damaged that no batcher could read whose it is, leaves no other trace. Jobs are
   taken in the order in which they came, so what was lost is soon among the oldest.
3. A job that expired at a batcher, before its call or in it, because Redis's clock stepped after it was pushed, is lost too.
4. A job is pushed twice at most.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol

from autobatch_proxy.queue.in_flight import Reply, WaitingRequest, fail
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.commands import ReplyError, is_refusal
from autobatch_shared.redis.worker_queue import INBOX_IDS_MAX, WorkerQueue

log = logging.getLogger(__name__)

OLD_S, COMPARE_EVERY_S = 2.0, 1.0  # a lost job is pushed again after 3.5 s at most, of the 30 s that it has by default
# The oldest of all workers stand at the head of a queue: found in 0.5 ms, where a comparison of 4000 jobs takes 16 ms.
OLDEST_JOBS = 32
CLOCK_STEP_MS = 1000  # no push takes so long; Redis's keys may have ended with such a step
STAMP_ERROR_MAX_MS = 100  # the deadline in a frame is wrong by less than this, unless the clock stepped since
PUSH_AGAIN_MIN_S = 0.05  # with less time left nothing would come of it


class Fetch(Protocol):
    """Fetches the replies to some jobs and wakes their handlers."""

    def __call__(self, jobs: list[str], *, missing_is_fine: bool) -> Awaitable[None]:
        """Do so; with `missing_is_fine` a job may have none yet."""
        ...


class LostJobs:
    """Finds them, and has them pushed again.

    Attributes:
        may_be: Whether anything has happened by which jobs may have been lost, or replies been missed.

    Args:
        queue: The worker's end of the queue.
        clock: Redis's clock, set anew where it may have stepped.
        waiting: The jobs that wait here, by their ids, oldest first.
        fetch: Fetches replies by name.
        push_again: Pushes a job again, under a new id.
    """

    def __init__(
        self,
        queue: WorkerQueue,
        clock: RedisClock,
        waiting: dict[str, WaitingRequest],
        fetch: Fetch,
        push_again: Callable[[WaitingRequest, str], None],
    ) -> None:
        self.may_be = True
        self._queue = queue
        self._clock = clock
        self._waiting = waiting
        self._fetch = fetch
        self._push_again = push_again
        self._epoch: bytes | None = None
        self._loop = asyncio.get_running_loop()
        self._looked_s = self._loop.time()

    def note_push(self, asked_s: float) -> None:
        """Learn from the last push, which began at this time of the clock, whether Redis lost its data, or its clock stepped."""
        step_ms = self._clock.sync(self._queue.pushed_ms, asked_s)
        if self._queue.pushed_epoch != self._epoch or abs(step_ms) > CLOCK_STEP_MS:
            self.may_be = True

    async def sync_clock(self) -> None:
        """Ask what Redis's clock shows."""
        asked_s = self._clock.mono_s()
        self._clock.sync(await self._queue.redis_ms(), asked_s)

    async def note_silence(self) -> None:
        """Look whether Redis lost its data, because jobs wait and nothing comes."""
        if self._waiting and await self._queue.epoch() != self._epoch:
            self.may_be = True

    async def find(self) -> None:
        """Compare what may have been lost, if anything may: fetch what was missed, push again what was lost."""
        if self.may_be:
            self.may_be = False  # what happens from here on asks for another comparison
            epoch = await self._queue.epoch()
            if self._epoch is not None and epoch != self._epoch:
                log.error("redis_lost_its_data", extra={"jobs_waiting": len(self._waiting)})
            self._epoch = epoch
            await self._compare([job for request in self._requests() for job in request.unanswered()])
        elif (now_s := self._loop.time()) - self._looked_s > COMPARE_EVERY_S:
            self._looked_s = now_s
            if await self._compare(self._oldest(now_s)):
                self.may_be = True

    def _requests(self) -> Iterable[WaitingRequest]:
        """Return the requests that wait, each once, oldest first."""
        return {id(request): request for request in self._waiting.values()}.values()

    def _oldest(self, now_s: float) -> list[str]:
        """Return the oldest jobs that wait for long: usual ones and bulk ones, for these are in a queue of their own."""
        usual: list[str] = []
        bulk: list[str] = []
        for request in self._requests():
            if now_s - request.asked_s <= OLD_S:
                break
            oldest = bulk if request.plan.is_bulk else usual
            if len(oldest) < OLDEST_JOBS:
                oldest += request.unanswered()
        return usual[:OLDEST_JOBS] + bulk[:OLDEST_JOBS]

    async def _compare(self, waiting: list[str]) -> bool:
        """Fetch what was missed, push again what was lost; return whether anything was lost."""
        lost = 0
        for start in range(0, len(waiting), INBOX_IDS_MAX):
            jobs = waiting[start : start + INBOX_IDS_MAX]
            await self._fetch(jobs, missing_is_fine=True)
            lost += await self._push_missing(jobs)
        return lost > 0

    async def _push_missing(self, jobs: list[str]) -> int:
        """Push those of the jobs again that Redis does not have any more; fail those that it lost twice.

        Returns:
            Number of jobs that were lost.
        """
        pushed = [job for job in jobs if (request := self._waiting.get(job)) is not None and not request.pushes_open]
        if not pushed:
            return 0
        try:
            missing = await self._queue.missing(pushed)
        except ReplyError as error:  # as where this user may not look: then they wait for their deadline
            if not is_refusal(error):
                raise
            log.error("lost_jobs_unknown", extra={"error": str(error)})  # noqa: TRY400
            return 0
        if missing:  # they may be lost by a step of Redis's clock
            await self.sync_clock()
        lost = 0
        for job in missing:
            request = self._waiting.get(job)
            if request is None or request.future_of(job).done():
                continue  # answered meanwhile
            lost += 1
            if job in request.again:
                fail(request, lost_twice)
            else:
                self._push_again(request, job)
        if lost:
            log.warning("jobs_lost", extra={"jobs": lost})
        return lost

    def may_push_again(self, request: WaitingRequest, job: str) -> bool:
        """Whether a job that expired has time left and was pushed once."""
        return job not in request.again and request.ends_s - self._loop.time() > PUSH_AGAIN_MIN_S

    async def judge_expired(self, expired: list[tuple[str, Reply]]) -> None:
        """Push expired jobs again if Redis's clock stepped since their push; else they have their reply."""
        with suppress(QueueUnavailable):
            await self.sync_clock()
        for job, reply in expired:
            request = self._waiting.get(job)
            if request is None or (future := request.future_of(job)).done():
                continue
            left_ms = (request.ends_s - self._loop.time()) * 1000
            if self._clock.now_ms() + left_ms - request.deadline_ms > STAMP_ERROR_MAX_MS:
                self._push_again(request, job)
            else:
                future.set_result(reply)


def lost_twice() -> QueueUnavailable:
    """Return the failure of a request whose jobs Redis lost, and lost again."""
    return QueueUnavailable("The queue lost its data")
