"""The queue's client: pushes go out once per event-loop tick, replies come in through one reader.

1. Every accepted job has one future in `_waiting`; a request that ends takes its own out. Late and unknown replies are counted.
2. A handler waits until its replies are there, its deadline, or the queue is known to have lost its jobs.
3. A connection may break at any time. Replies that were missed meanwhile are fetched by name after it is back.

More than 250 lines, because pushing, waiting and reading all share `_waiting`.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec

from autobatch_proxy.queue.admission import Backlog, is_in_time, retry_after_s
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.bell import pause
from autobatch_shared.contract import frames
from autobatch_shared.contract.errors import (
    AutobatchError,
    DeadlineExceeded,
    MalformedFrame,
    QueueFull,
    QueueOutOfMemory,
    QueueUnavailable,
)
from autobatch_shared.contract.frames import JobHeader, ReplyHeader
from autobatch_shared.count import Count
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.link import RETRY_PAUSE_S, RedisLink
from autobatch_shared.redis.worker_queue import INBOX_IDS_MAX, WorkerQueue

log = logging.getLogger(__name__)

INBOX_BLOCK_S = 0.5  # well below half of the link's silence limit; also how soon a stop or a lost reply is noticed
OUTAGE_PATIENCE_S = 2.0  # a Redis that restarts within it fails no request
FIRST_CONNECTION_S = 1.0
CLOCK_SYNC_S = 10.0

Reply = tuple[ReplyHeader, bytes]


class JobClient(Protocol):
    """Answers the jobs of a plan."""

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        """Return a reply to each job, in order.

        Raises:
            QueueFull: Refused, nothing was pushed: too much waits, or so much that the deadline would expire.
            QueueUnavailable: Redis is unavailable, or lost the jobs.
            DeadlineExceeded: After `timeout_s` seconds.
        """
        ...


@dataclass(slots=True)
class QueueCounts:
    """What happened at one client.

    Attributes:
        late_replies: Replies to requests that had ended.
        broken_replies: Replies that are not what a batcher sends.
        departures: Requests that ended before their replies came.
    """

    late_replies: Count
    broken_replies: Count
    departures: Count


class _Request(msgspec.Struct):
    """What one handler pushes together: one id, one frame and one future for each job."""

    is_bulk: bool
    deadline: int
    ids: list[str]
    frames: list[bytes]
    futures: list["asyncio.Future[Reply]"]


def new_worker_id() -> str:
    """Return an id that no other worker has or had."""
    return "w" + secrets.token_hex(5)


class QueueClient:
    """Asks batchers, through Redis. Made inside the loop; call `open` first and `close` when no handler waits any more.

    Args:
        queue: The worker's end of the queue, over `link` and `inbox_link`.
        link: The connection for commands that return at once; it is watched for outages.
        inbox_link: The connection for the blocking read; it is watched for outages.
        worker: This worker's id, letters and digits only.
        inputs_max: Inputs in flight in this worker, and waiting in the queue, before requests are refused; bulk ones
            are counted apart, so that a large request causes no refusal of others.
        watcher: Knows how many inputs the batchers answer in a second of backlog.
        counts: The counters that this client adds to.
    """

    def __init__(
        self,
        queue: WorkerQueue,
        link: RedisLink,
        inbox_link: RedisLink,
        worker: str,
        inputs_max: int,
        watcher: FleetWatcher,
        counts: QueueCounts,
    ) -> None:
        self._counts = counts
        self._watcher = watcher
        self._backlog = Backlog()
        self._inputs_in_flight = [0, 0]  # of bulk requests the second
        self._queue = queue
        self._link = link
        self._inbox_link = inbox_link
        self._worker = worker
        self._inputs_max = inputs_max
        self._clock = RedisClock()
        self._clock_synced_mono_s = float("-inf")
        self._jobs_made = 0
        # Looked up once: before Python 3.12 each look-up is a system call, 3 % of a worker.
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._outbox: list[_Request] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._epoch: bytes | None = None
        self._must_recover = True
        self._is_unavailable = False
        self._is_refused = False
        self._is_answered = True

    @property
    def inputs_in_flight(self) -> int:
        """Inputs of requests that wait for their answer, bulk ones included."""
        return sum(self._inputs_in_flight)

    @property
    def is_connected(self) -> bool:
        """Whether a request would be pushed and its reply be read now."""
        return self._link.is_connected and self._inbox_link.is_connected

    async def open(self) -> None:
        """Connect, for as long as that is quick, and begin to read the inbox."""
        self._link.start()
        self._inbox_link.start()
        # So that a worker which starts beside others refuses nothing; without Redis it starts all the same.
        await self._link.wait_connected(FIRST_CONNECTION_S)
        await self._inbox_link.wait_connected(FIRST_CONNECTION_S)
        self._reader = asyncio.create_task(self._read_for_ever(), name="inbox-reader")

    async def close(self) -> None:
        """Stop reading and drop the connections."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, *self._tasks, return_exceptions=True)
        await self._link.close()
        await self._inbox_link.close()

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        """Push one request's jobs and return their replies in order; raises as every JobClient does."""
        fleet = self._watcher.fleet
        if not fleet.answers_our_frames:
            raise batcher_too_old()
        is_bulk = plan.is_bulk
        inputs = sum([planned.n for planned in plan.jobs])
        now_s = self._loop.time()
        wait_s = self._backlog.wait_s(self._watcher.drained_per_s, now_s, is_bulk=is_bulk)
        if self._inputs_in_flight[is_bulk] + inputs > self._inputs_max or not is_in_time(wait_s, timeout_s):
            if self._backlog.is_old(now_s):
                self._backlog.note(self._queue.ahead, now_s)  # one look at a time
                self._spawn(self._push([]))
            raise queue_full(wait_s)
        at = self._clock.now_ms()
        deadline = at + int(timeout_s * 1000)
        request = _Request(is_bulk, deadline, [], [], [])
        for planned in plan.jobs:
            self._jobs_made += 1
            job = f"{self._worker}.{self._jobs_made}"
            header = JobHeader(
                id=job,
                n=planned.n,
                at=at,
                deadline=deadline,
                route=plan.route,
                kind=planned.kind,
                options=planned.options,
                content_type=planned.content_type,
                longest=planned.longest,
                is_counted=plan.are_counted,
                wants_each=plan.wants_each,
            )
            request.frames.append(frames.encode(header, planned.body))
            future: asyncio.Future[Reply] = self._loop.create_future()
            self._waiting[job] = future
            request.ids.append(job)
            request.futures.append(future)
        self._inputs_in_flight[is_bulk] += inputs
        timer = self._loop.call_later(timeout_s, _fail, request.futures, DeadlineExceeded)
        try:
            self._post(request)
            return [await future for future in request.futures]
        finally:
            timer.cancel()
            self._inputs_in_flight[is_bulk] -= inputs
            self._leave(request)

    def _post(self, request: _Request) -> None:
        """Put the request into this tick's push."""
        if not self._outbox:
            self._loop.call_soon(self._send_outbox)
        self._outbox.append(request)

    def _send_outbox(self) -> None:
        requests, self._outbox = self._outbox, []
        self._spawn(self._push(requests))

    async def _push(self, requests: list[_Request]) -> None:
        """Push a tick's requests; those that were refused fail now, the others wait for their replies."""
        try:
            refused = await self._queue.push([(r.is_bulk, r.frames) for r in requests], self._inputs_max)
        except QueueUnavailable as error:
            if not self._is_refused:  # once an outage; and Redis's own words are not for clients
                log.warning("push_failed", extra={"error": str(error)})
            self._is_refused = True
            said = QueueOutOfMemory if isinstance(error, QueueOutOfMemory) else QueueUnavailable
            for request in requests:
                _fail(request.futures, said)
            return
        self._is_refused = False
        now_s = self._loop.time()
        self._backlog.note(self._queue.ahead, now_s)
        for request in requests:
            request.frames = []  # Redis has them; ten thousand waiting requests need not
        for place in refused:
            request = requests[place]
            wait_s = self._backlog.wait_s(self._watcher.drained_per_s, now_s, is_bulk=request.is_bulk)
            _fail(request.futures, partial(queue_full, wait_s))

    def _leave(self, request: _Request) -> None:
        """Remove a request's futures; jobs without a reply need not be computed any more."""
        left = []
        for job, future in zip(request.ids, request.futures, strict=True):
            del self._waiting[job]
            if not future.done():
                future.cancel()
            # Reading a future's exception also marks it as retrieved, so that the loop does not log it.
            if future.cancelled() or isinstance(future.exception(), QueueUnavailable):
                left.append(job)
        if left:
            self._counts.departures.total += 1
            self._spawn(self._forget(left, request.deadline - self._clock.now_ms()))

    async def _forget(self, jobs: list[str], ttl_ms: int) -> None:
        with suppress(QueueUnavailable):  # then they cannot be claimed either, or are computed in vain
            await self._queue.forget(jobs, ttl_ms)

    async def _read_for_ever(self) -> None:
        """Supervise the reader: no error ends it."""
        while True:
            try:
                if self._must_recover:
                    await self._recover()
                await self._sync_clock()
                self._check_batchers()
                if jobs := await self._queue.pop_inbox(INBOX_BLOCK_S):
                    self._spawn(self._deliver(jobs))
                self._is_unavailable = False
            except QueueUnavailable as error:
                if not self._is_unavailable:  # once an outage, not once a try
                    log.warning("inbox_unavailable", extra={"error": str(error)})
                self._is_unavailable = True
                await self._wait_out()
            except Exception:  # the next reply must still be read
                log.exception("inbox_reader_failed")
                await self._wait_out()

    async def _wait_out(self) -> None:
        """Wait for the connections; fail every request when that takes too long."""
        self._must_recover = True
        await pause(RETRY_PAUSE_S)
        back = await self._link.wait_connected(OUTAGE_PATIENCE_S) and await self._inbox_link.wait_connected(
            OUTAGE_PATIENCE_S
        )
        if not back:
            _fail(list(self._waiting.values()), QueueUnavailable)

    async def _recover(self) -> None:
        """After a new connection: learn whether Redis still has our jobs, and fetch what was missed."""
        epoch = await self._queue.epoch()
        if self._epoch is not None and epoch != self._epoch:
            log.error("redis_lost_its_data", extra={"requests_failed": len(self._waiting)})
            _fail(list(self._waiting.values()), lambda: QueueUnavailable("The queue lost its data"))
        self._epoch = epoch
        self._must_recover = False
        waiting = list(self._waiting)
        for start in range(0, len(waiting), INBOX_IDS_MAX):
            await self._deliver(waiting[start : start + INBOX_IDS_MAX], missing_is_fine=True)

    async def _sync_clock(self) -> None:
        now_mono_s = self._loop.time()
        if now_mono_s - self._clock_synced_mono_s > CLOCK_SYNC_S:
            self._clock.sync(await self._queue.redis_ms())
            self._clock_synced_mono_s = now_mono_s

    def _check_batchers(self) -> None:
        """Fail every waiting request while a live batcher would not answer it."""
        is_answered = self._watcher.fleet.answers_our_frames
        if not is_answered:
            if self._is_answered:
                log.error("batcher_too_old", extra={"requests_failed": len(self._waiting)})
            _fail(list(self._waiting.values()), batcher_too_old)
        self._is_answered = is_answered

    async def _deliver(self, jobs: list[str], *, missing_is_fine: bool = False) -> None:
        """Fetch replies and wake their handlers."""
        try:
            found = await self._queue.read_replies(jobs)
        except QueueUnavailable:
            self._must_recover = True
            return
        self._wake(jobs, found, missing_is_fine=missing_is_fine)
        # Only those: a reply that was not there yet may be by now.
        read = [job for job, frame in zip(jobs, found, strict=True) if frame is not None]
        if read:
            with suppress(QueueUnavailable):  # then they end with their TTL
                await self._queue.delete_replies(read)

    def _wake(self, jobs: list[str], found: list[bytes | None], *, missing_is_fine: bool) -> None:
        """Give each handler its own reply."""
        for job, frame in zip(jobs, found, strict=True):
            future = self._waiting.get(job)
            if frame is None and missing_is_fine:
                continue
            if future is None or future.done() or frame is None:
                self._counts.late_replies.total += 1
                continue
            try:
                header, body = frames.decode_reply(frame)
            except MalformedFrame as error:
                self._counts.broken_replies.total += 1
                future.set_exception(error)
                continue
            if header.id == job:
                future.set_result((header, body))
            else:
                self._counts.broken_replies.total += 1
                future.set_exception(MalformedFrame("The reply is that of another job"))

    def _spawn(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def queue_full(wait_s: float) -> QueueFull:
    """Return the refusal of a request that would wait so long."""
    error = QueueFull()
    error.retry_after_s = retry_after_s(wait_s)
    return error


def batcher_too_old() -> QueueUnavailable:
    """Return the refusal of a request while a batcher is live that would not answer it."""
    return QueueUnavailable(frames.versions_differ(worker=frames.VERSION, batcher=frames.ANSWERED_SINCE - 1))


def _fail(futures: Sequence["asyncio.Future[Reply]"], error: Callable[[], AutobatchError]) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error())
