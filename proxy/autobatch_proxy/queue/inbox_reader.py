"""Reads a worker's inbox, and gives each reply to the request that waits for it; supervises the connections while it waits.

1. One task reads, for all requests. No error ends it; while Redis is unavailable it waits for that, and fails all requests once
   it has taken longer than OUTAGE_PATIENCE_S.
2. Late and unknown replies are counted. A reply is deleted only after it was read.
3. While few requests wait, their replies come with the inbox, in one round trip.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from autobatch_proxy.queue.in_flight import QueueCounts, Reply, WaitingRequest, fail, fail_all
from autobatch_proxy.queue.lost_jobs import LostJobs
from autobatch_proxy.requests.answer_size import too_large
from autobatch_proxy.requests.plan import UNLIMITED
from autobatch_shared.bell import Bell, let_others_run, pause
from autobatch_shared.contract.errors import DeadlineExceeded, MalformedFrame, QueueUnavailable, UpstreamTimeout
from autobatch_shared.contract.frames import decode_reply
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.commands import in_own_words
from autobatch_shared.redis.link import RETRY_PAUSE_S, RedisLink
from autobatch_shared.redis.worker_queue import WorkerQueue

log = logging.getLogger(__name__)

INBOX_BLOCK_S = 0.5  # well below half of the link's silence limit; also how soon a stop or a lost reply is noticed
IDLE_BLOCK_S = 0.01  # a look that no request waits for: whether Redis is there
#: So many jobs are asked for with the inbox: a reply that is not there yet costs Redis 0.1 us, another round trip 30.
AWAITED_MAX = 16
OUTAGE_PATIENCE_S = 2.0  # a Redis that restarts within it fails no request
CLOCK_SYNC_S = 10.0
TOO_LATE = {DeadlineExceeded.code, UpstreamTimeout.code}  # the job's deadline expired, before its call or in it


class InboxReader:
    """Reads one inbox. Made inside the loop; call `start` first and `close` at the end.

    Attributes:
        asked: Is rung when a request begins to wait.
        lost: Finds the jobs that Redis has lost.
        is_given_up: Whether an outage has lasted too long: nothing is waited for until it ends.

    Args:
        queue: The worker's end of the queue, over `link` and `inbox_link`.
        link: The connection for commands that return at once; it is watched for outages.
        inbox_link: The connection for the blocking read; it is watched for outages.
        clock: Redis's clock, set anew from time to time.
        waiting: The jobs that wait here, by their ids, oldest first.
        counts: Late and broken replies are counted there.
        check_batchers: Fails what no batcher will answer; is called before each look into the inbox.
        push_again: Pushes a job again, under a new id.
        spawn: Runs a coroutine beside the reader, and ends it with the client.
    """

    def __init__(
        self,
        queue: WorkerQueue,
        link: RedisLink,
        inbox_link: RedisLink,
        clock: RedisClock,
        waiting: dict[str, WaitingRequest],
        counts: QueueCounts,
        check_batchers: Callable[[], None],
        push_again: Callable[[WaitingRequest, str], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.asked = Bell()
        self.lost = LostJobs(queue, clock, waiting, self._deliver, push_again)
        self.is_given_up = False
        self._queue = queue
        self._link = link
        self._inbox_link = inbox_link
        self._waiting = waiting
        self._counts = counts
        self._check_batchers = check_batchers
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._clock_synced_mono_s = float("-inf")
        self._reading_large = asyncio.Lock()
        self._is_unavailable = False
        self._refused_mono_s: float | None = None  # since when it is connected and refused
        self._task: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a request would be pushed and its reply be read now."""
        return self._link.is_connected and self._inbox_link.is_connected

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._read_for_ever(), name="inbox-reader")

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read_for_ever(self) -> None:
        """Supervise the reader: no error ends it."""
        while True:
            try:
                await self.lost.find()
                await self._sync_clock()
                self._check_batchers()
                await self._read_once()
                self._is_unavailable = self.is_given_up = False
                self._refused_mono_s = None
            except QueueUnavailable as error:
                if not self._is_unavailable:  # once an outage, not once a try
                    log.warning("inbox_unavailable", extra={"error": str(error)})
                self._is_unavailable = True
                await self._wait_out(error)
            except Exception:  # the next reply must still be read
                log.exception("inbox_reader_failed")
                await self._wait_out()

    async def _read_once(self) -> None:
        """Wait for replies, and give them to their handlers; where nothing is awaited, for a request."""
        awaited = self._awaited()
        if awaited == [] and await self.asked.wait(INBOX_BLOCK_S):
            return
        found: dict[str, bytes] = {}
        if read_along := [job for job in awaited or [] if not self._is_large(job)]:
            jobs, found = await self._queue.pop_and_read(INBOX_BLOCK_S, read_along)
        else:
            jobs = await self._queue.pop_inbox(INBOX_BLOCK_S if self._waiting else IDLE_BLOCK_S)
        if not jobs:
            await self._queue.delete_received()
            await self.lost.note_silence()
            return
        if expired := self._give(list(found), list(found.values()), missing_is_fine=False):
            self._spawn(self.lost.judge_expired(expired))
        if others := [job for job in jobs if job not in found]:
            self._spawn(self._deliver(others))
        await let_others_run()  # the handlers that were woken: they answer before this reader looks again

    def _awaited(self) -> list[str] | None:
        """The jobs without a reply, which are read with the inbox, in one round trip; None while many wait: most come later."""
        if len(self._waiting) > AWAITED_MAX:
            return None
        return [job for job, each in self._waiting.items() if not each.future_of(job).done()]

    async def _wait_out(self, error: QueueUnavailable | None = None) -> None:
        """Wait for the connections, or until Redis refuses no more; fail every request when that takes too long."""
        self.lost.may_be = True
        now_s = self._loop.time()
        self._refused_mono_s = (self._refused_mono_s or now_s) if self.is_connected else None
        await pause(RETRY_PAUSE_S)
        back = await self._link.wait_connected(OUTAGE_PATIENCE_S) and await self._inbox_link.wait_connected(
            OUTAGE_PATIENCE_S
        )
        if not back or now_s - (self._refused_mono_s or now_s) > OUTAGE_PATIENCE_S:
            self.is_given_up = True
            fail_all(self._waiting, partial(in_own_words, error or QueueUnavailable()))

    async def _sync_clock(self) -> None:
        now_mono_s = self._loop.time()
        if now_mono_s - self._clock_synced_mono_s > CLOCK_SYNC_S:
            await self.lost.sync_clock()
            self._clock_synced_mono_s = now_mono_s

    async def _deliver(self, jobs: list[str], *, missing_is_fine: bool = False) -> None:
        """Fetch replies and wake their handlers; replies that may be large one at a time, so that few are in memory."""
        large = [job for job in jobs if self._is_large(job)]
        if not large:
            await self._fetch(jobs, missing_is_fine=missing_is_fine)
            return
        usual = [job for job in jobs if job not in large]
        if usual:
            await self._fetch(usual, missing_is_fine=missing_is_fine)
        for job in large:
            async with self._reading_large:
                if job in self._waiting:  # else its request had too much already: the reply ends with its TTL
                    await self._fetch([job], missing_is_fine=missing_is_fine)

    def _is_large(self, job: str) -> bool:
        request = self._waiting.get(job)
        return request is not None and request.plan.answer_bytes_max != UNLIMITED

    async def _fetch(self, jobs: list[str], *, missing_is_fine: bool) -> None:
        try:
            found = await self._queue.read_replies(jobs)
        except QueueUnavailable:
            self.lost.may_be = True
            return
        if expired := self._give(jobs, found, missing_is_fine=missing_is_fine):
            await self.lost.judge_expired(expired)

    def _give(
        self, jobs: Sequence[str], found: Sequence[bytes | None], *, missing_is_fine: bool
    ) -> list[tuple[str, Reply]]:
        """Wake the handlers, as `_wake` does, and let the replies that came be deleted."""
        # Only those: a reply that was not there yet may be by now.
        self._queue.note_received([job for job, frame in zip(jobs, found, strict=True) if frame is not None])
        return self._wake(jobs, found, missing_is_fine=missing_is_fine)

    def _wake(
        self, jobs: Sequence[str], found: Sequence[bytes | None], *, missing_is_fine: bool
    ) -> list[tuple[str, Reply]]:
        """Give each handler its own reply. Return those of jobs that expired, though time is left here."""
        expired = []
        for job, frame in zip(jobs, found, strict=True):
            if frame is None and missing_is_fine:
                continue
            request = self._waiting.get(job)
            if request is None or frame is None or (future := request.future_of(job)).done():
                if request is not None and frame is None and not request.future_of(job).done():
                    self.lost.may_be = True  # announced and gone, as after a step of Redis's clock: it may be lost
                self._counts.late_replies.total += 1
                continue
            try:
                header, body = decode_reply(frame)
            except MalformedFrame as error:
                self._counts.broken_replies.total += 1
                future.set_exception(error)
                continue
            if header.id != job:
                self._counts.broken_replies.total += 1
                future.set_exception(MalformedFrame("The reply is that of another job"))
            elif header.fault in TOO_LATE and self.lost.may_push_again(request, job):
                expired.append((job, (header, body)))
            else:
                request.bytes_read += len(body)
                if request.bytes_read > request.plan.answer_bytes_max and len(request.futures) > 1:
                    fail(request, partial(too_large, request.plan.answer_bytes_max))
                else:
                    future.set_result((header, body))
        return expired
