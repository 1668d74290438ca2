"""The queue's client: accepts requests, and pushes their jobs once per event-loop tick; `inbox_reader` brings the replies.

1. Every accepted job has one future in `_waiting`; a request that ends takes its own out.
2. A handler waits until its replies are there, its deadline, or the queue is known to have lost its jobs.
3. A connection may break at any time, and Redis may lose what it was told: `lost_jobs` compares what waits here with what
   Redis has.
4. A push that did not reach Redis, or perhaps did not, fails no request: it is compared, too, once there is a connection.
   Only in an outage that has outlasted `inbox_reader.OUTAGE_PATIENCE_S` requests are refused at once.

More than 250 lines, because a request is accepted, pushed, pushed again and ended here.
"""

import asyncio
import logging
import secrets
from contextlib import suppress
from functools import partial
from typing import Protocol

from autobatch_proxy.queue.admission import Backlog, is_in_time, retry_after_s
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.in_flight import (
    Deadlines,
    QueueCounts,
    Reply,
    WaitingRequest,
    fail,
    fail_all,
    frame_of,
    largest_body_bytes,
)
from autobatch_proxy.queue.inbox_reader import InboxReader
from autobatch_proxy.queue.value_limit import ValueLimit
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.contract import frames
from autobatch_shared.contract.errors import (
    AnswerTooLarge,
    DeadlineExceeded,
    NoBatcher,
    QueueFull,
    QueueUnavailable,
    RequestTooLarge,
    WorkerOutOfMemory,
)
from autobatch_shared.contract.status import Fleet
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.commands import in_own_words, is_refusal, refusal_of
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.worker_queue import WorkerQueue

log = logging.getLogger(__name__)

FIRST_CONNECTION_S = 1.0


class JobClient(Protocol):
    """Answers the jobs of a plan."""

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        """Return a reply to each job, in order.

        Raises:
            QueueFull: Refused, nothing was pushed: too much waits, or so much that the deadline would expire.
            QueueUnavailable: Redis is unavailable or lost the jobs twice, or there is no batcher for them.
            RequestTooLarge: Redis does not take a value of its size.
            WorkerOutOfMemory: There is no memory for the push.
            DeadlineExceeded: After `timeout_s` seconds.
        """
        ...


def new_worker_id() -> str:
    """Return an id that no other worker has or had."""
    return "w" + secrets.token_hex(5)


class QueueClient:
    """Asks batchers, through Redis. Made inside the loop; call `open` first and `close` at the end.

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
        self._jobs_made = 0
        # Looked up once: before Python 3.12 each look-up is a system call, 3 % of a worker.
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, WaitingRequest] = {}
        self._deadlines = Deadlines(self._loop)
        self._outbox: list[WaitingRequest] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader = InboxReader(
            queue,
            link,
            inbox_link,
            self._clock,
            self._waiting,
            counts,
            self._check_batchers,
            self._push_again,
            self._spawn,
        )
        self._asked, self._lost = self._reader.asked, self._reader.lost
        self._value_limit = ValueLimit(link)
        self._is_refused = False
        self._refusal = ""  # of the last push, in Redis's word
        self._has_no_memory = False  # for the last push
        self._is_answered = True

    @property
    def inputs_in_flight(self) -> int:
        """Inputs of requests that wait for their answer, bulk ones included."""
        return sum(self._inputs_in_flight)

    def now_ms(self) -> int:
        """Redis's clock, unix milliseconds."""
        return self._clock.now_ms()

    @property
    def used_share(self) -> float:
        """How much its requests in flight take of the inputs that they may have; at 1 more are refused."""
        return max(self._inputs_in_flight) / self._inputs_max

    @property
    def is_connected(self) -> bool:
        """Whether a request would be pushed and its reply be read now."""
        return self._reader.is_connected

    @property
    def refusal(self) -> str:
        """Why Redis refuses, in its word, such as `MISCONF`, `OOM` or `NOREPLICAS`; empty: it does not."""
        return self._link.refusal or self._watcher.refusal or self._refusal

    @property
    def fault(self) -> str:
        """Why Redis cannot be reached, in words; empty: it can, or none has tried yet."""
        return self._link.fault or self._inbox_link.fault

    async def open(self) -> None:
        """Connect, for as long as that is quick, and begin to read the inbox."""
        self._link.start()
        self._inbox_link.start()
        # So that a worker which starts beside others refuses nothing; without Redis it starts all the same.
        await self._link.wait_connected(FIRST_CONNECTION_S)
        await self._inbox_link.wait_connected(FIRST_CONNECTION_S)
        self._reader.start()

    async def close(self) -> None:
        """Stop reading and drop the connections. What still waits fails, as its batchers have gone."""
        fail_all(self._waiting, NoBatcher)
        await self._reader.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._deadlines.close()
        with suppress(QueueUnavailable):  # then they end with their TTL
            await self._queue.delete_received()
        await self._link.close()
        await self._inbox_link.close()

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        """Push one request's jobs and return their replies in order; raises as every JobClient does."""
        if (body_bytes := largest_body_bytes(plan)) > self._value_limit.taken_bytes:
            self._check_fleet()
            timeout_s = await self._check_size(body_bytes, timeout_s)
        request = self.begin(plan, timeout_s)
        try:
            replies = []
            for future in request.futures:
                replies.append(await future)  # noqa: PERF401  # a comprehension would keep 500 bytes while it waits
            return replies
        finally:
            self.end(request)

    def begin(self, plan: Plan, timeout_s: float) -> WaitingRequest:
        """Push the jobs of a request of usual size with this tick's; its futures get the replies.

        The caller that has begun it ends it.

        Raises:
            QueueFull, QueueUnavailable: As `ask` does.
        """
        fleet = self._check_fleet()
        is_bulk = plan.is_bulk
        inputs = sum([planned.n for planned in plan.jobs])
        now_s = self._loop.time()
        wait_s = self._backlog.wait_s(
            self._watcher.drained_per_s, now_s, is_bulk=is_bulk, affordable_inputs=fleet.affordable_inputs
        )
        if self._inputs_in_flight[is_bulk] + inputs > self._inputs_max or not is_in_time(wait_s, timeout_s):
            if self._backlog.is_old(now_s):
                self._backlog.note(self._queue.ahead, now_s)  # one look at a time
                self._spawn(self._push([]))
            raise queue_full(wait_s)
        at_ms = self._clock.now_ms()
        deadline_ms = at_ms + int(timeout_s * 1000)
        request = WaitingRequest(plan, now_s, now_s + timeout_s, deadline_ms)
        for planned in plan.jobs:
            job = self._new_id()
            request.frames.append(frame_of(plan, planned, job, at_ms, deadline_ms))
            self._waiting[job] = request
            request.ids.append(job)
            request.futures.append(self._loop.create_future())
        self._inputs_in_flight[is_bulk] += inputs
        self._deadlines.add(request)
        self._post(request)
        self._asked.ring()  # only now: Redis hears of the jobs before it is asked for their replies
        return request

    def end(self, request: WaitingRequest) -> None:
        """Wait no more for a request, whether its replies have come or not."""
        self._deadlines.remove(request)
        self._inputs_in_flight[request.plan.is_bulk] -= sum([planned.n for planned in request.plan.jobs])
        self._leave(request)

    def _check_fleet(self) -> Fleet:
        """Return the fleet, if there are batchers that answer."""
        fleet = self._watcher.fleet
        if not fleet.answers_our_frames:
            raise versions_differ(fleet)
        if not self._watcher.has_batchers:
            raise NoBatcher
        return fleet

    async def _check_size(self, body_bytes: int, timeout_s: float) -> float:
        """Return what is left of the time when Redis is known to take a body of this size."""
        begun_s = self._loop.time()
        try:
            async with asyncio.timeout(timeout_s):
                await self._value_limit.check(body_bytes)
        except TimeoutError as error:
            raise DeadlineExceeded from error
        return timeout_s - (self._loop.time() - begun_s)

    def _new_id(self) -> str:
        self._jobs_made += 1
        return f"{self._worker}.{self._jobs_made}"

    def _post(self, request: WaitingRequest) -> None:
        """Put the request into this tick's push."""
        if not self._outbox:
            self._spawn(self._push_outbox())
        request.pushes_open += 1
        self._outbox.append(request)

    def _push_again(self, request: WaitingRequest, job: str) -> None:
        """Put one of its jobs into this tick's push, with a new id and the time that is left."""
        place = request.ids.index(job)
        del self._waiting[job]
        new = request.ids[place] = self._new_id()
        self._waiting[new] = request
        request.again += (new,)
        at_ms, left_s = self._clock.now_ms(), request.ends_s - self._loop.time()
        is_posted = bool(request.frames)
        planned = request.plan.jobs[place]
        request.frames.append(frame_of(request.plan, planned, new, at_ms, at_ms + int(left_s * 1000)))
        if not is_posted:
            self._post(request)

    async def _push_outbox(self) -> None:
        """Push what is in the outbox when this task's first step comes: everything that the tick has put there."""
        requests, self._outbox = self._outbox, []
        try:
            await self._push(requests)
            self._has_no_memory = False
        except MemoryError:  # for the command that would carry them: nothing was sent
            if not self._has_no_memory:
                log.error("push_without_memory", extra={"requests_failed": len(requests)})  # noqa: TRY400
            self._has_no_memory = True
            for request in requests:
                fail(request, WorkerOutOfMemory)

    async def _push(self, requests: list[WaitingRequest]) -> None:
        """Push a tick's requests; those that were refused fail now, the others wait for their replies."""
        pushes = [(request.plan.is_bulk, request.frames) for request in requests]
        for request in requests:
            request.frames = []  # Redis will have them; ten thousand waiting requests need not
        asked_s = self._clock.mono_s()
        try:
            refused = await self._queue.push(pushes, self._inputs_max)
        except QueueUnavailable as error:
            if not self._is_refused:  # once an outage; and Redis's own words are not for clients
                log.warning("push_failed", extra={"error": str(error)})
            self._is_refused, self._refusal = True, refusal_of(error)
            if not is_refusal(error) and not self._reader.is_given_up:
                self._lost.may_be = True
                self._doubt_sizes(requests)
                return
            for request in requests:
                fail(request, partial(in_own_words, error))
            return
        finally:
            for request in requests:
                request.pushes_open -= 1
        self._is_refused, self._refusal = False, ""
        now_s = self._loop.time()
        self._backlog.note(self._queue.ahead, now_s)
        self._lost.note_push(asked_s)
        for place in refused:
            request = requests[place]
            wait_s = self._backlog.wait_s(self._watcher.drained_per_s, now_s, is_bulk=request.plan.is_bulk)
            fail(request, partial(queue_full, wait_s))

    def _doubt_sizes(self, requests: list[WaitingRequest]) -> None:
        """Try those that may have broken the connection by their size, before they are pushed again."""
        self._value_limit.doubt()
        for request in requests:
            if (body_bytes := largest_body_bytes(request.plan)) > self._value_limit.taken_bytes:
                request.pushes_open += 1
                self._spawn(self._try_size(request, body_bytes))

    async def _try_size(self, request: WaitingRequest, body_bytes: int) -> None:
        try:
            await self._value_limit.check(body_bytes)
        except RequestTooLarge:
            fail(request, RequestTooLarge)
        request.pushes_open -= 1
        self._lost.may_be = True

    def _leave(self, request: WaitingRequest) -> None:
        """Remove a request's futures; jobs without a reply need not be computed any more."""
        left = []
        for job, future in zip(request.ids, request.futures, strict=True):
            del self._waiting[job]
            if not future.done():
                future.cancel()
            # Reading a future's exception also marks it as retrieved, so that the loop does not log it.
            if future.cancelled() or isinstance(future.exception(), QueueUnavailable | AnswerTooLarge):
                left.append(job)
        if left:
            self._counts.departures.total += 1
            self._spawn(self._forget(left, int((request.ends_s - self._loop.time()) * 1000)))

    async def _forget(self, jobs: list[str], ttl_ms: int) -> None:
        with suppress(QueueUnavailable):  # then they cannot be claimed either, or are computed in vain
            await self._queue.forget(jobs, ttl_ms)

    def _check_batchers(self) -> None:
        """Fail every waiting request while no batcher will come, or there is one that would not answer it."""
        if not self._watcher.may_come_back:
            fail_all(self._waiting, NoBatcher)
        is_answered = self._watcher.fleet.answers_our_frames
        if not is_answered:
            if self._is_answered:
                log.error("versions_differ", extra={"requests_failed": len(self._waiting)})
            fail_all(self._waiting, partial(versions_differ, self._watcher.fleet))
        self._is_answered = is_answered

    def _spawn(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def queue_full(wait_s: float) -> QueueFull:
    """Return the refusal of a request that would wait so long."""
    error = QueueFull()
    error.retry_after_s = retry_after_s(wait_s)
    return error


def versions_differ(fleet: Fleet) -> QueueUnavailable:
    """Return the refusal of a request while no live batcher would work on it, or one would not answer it."""
    return QueueUnavailable(frames.versions_differ(worker=frames.VERSION, batcher=fleet.other_version))
