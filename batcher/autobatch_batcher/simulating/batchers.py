"""A run of real batchers: all of their code but Redis and HTTP, in virtual time."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random

import msgspec

from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.claiming.loop import WorkingLoop
from autobatch_batcher.dialects.base import JSON, Answer, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.forming.policy import policy_named
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.simulating.clients import RunHistory, SimulatedClients, SimulatedRequest, SimulatedTraffic
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_batcher.simulating.simulated_queue import SimulatedLink, SimulatedQueue, SimulatedQueueEnd
from autobatch_batcher.simulating.simulated_upstream import SimulatedUpstream
from autobatch_batcher.simulating.virtual_time import VirtualTimeLoop
from autobatch_batcher.simulating.workers import CALL_S, PUSH_S, cut
from autobatch_batcher.tuning.duty import HAND_OVER_LOOK_EVERY_S, LOOK_EVERY_S, take_duties
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.bell import Bell, pause
from autobatch_shared.contract.errors import UpstreamTimeout
from autobatch_shared.contract.frames import JobHeader, encode
from autobatch_shared.contract.status import BatcherStatus, LearntCalls
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.settings.definitions import BatcherSettings

DEADLINE_MS = 60_000


@dataclass(frozen=True, slots=True)
class SimulatedFleet:
    """What is simulated.

    Attributes:
        settings: Those of the batchers.
        batchers: How many there are.
        upstreams: How many upstreams, each of the same law.
        others: The laws of the upstreams beside these.
        first_stops_s: When the first batcher is told to stop; inf: never.
        longer_way_s: How much longer a request's round trips take than those of `workers.py`.
        apart_s: How far apart requests are pushed at least that come together, because the processes before the queue work on them.
        refused_pause_s: How long a client that was refused waits before it asks again.
        remembered: What a batcher that is gone had learnt of the upstreams; None: nothing.
    """

    settings: BatcherSettings
    batchers: int = 1
    upstreams: int = 1
    others: tuple[SimulatedLaw, ...] = ()
    first_stops_s: float = inf
    longer_way_s: float = 0.0
    apart_s: float = 0.0
    refused_pause_s: float = 0.0
    remembered: LearntCalls | None = None


class _Call(msgspec.Struct):
    """What is read of a call that the dialect composed."""

    inputs: list[str]


_read_call = msgspec.json.Decoder(_Call).decode


class SimulatedHttpClient(HttpClient):
    """Calls a simulated upstream."""

    def __init__(self, upstream: SimulatedUpstream) -> None:
        self._upstream = upstream

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call; the last word of each text is its length."""
        loop = asyncio.get_running_loop()
        lengths = [int(text.rpartition(" ")[2]) for text in _read_call(post.body).inputs]
        await pause(CALL_S)
        answered: asyncio.Future[bool | None] = loop.create_future()
        self._upstream.call(lengths, partial(_resolve, answered))
        timer = loop.call_later(timeout_s, _resolve, answered, None)
        is_good = await answered
        timer.cancel()
        if is_good is None:
            raise UpstreamTimeout
        if is_good:
            return Answer(200, JSON, b"[" + b",".join([b"[0.5]"] * len(lengths)) + b"]", None)
        return Answer(429, JSON, b'{"error": "Model is overloaded", "error_type": "Overloaded"}', None)


def _resolve(future: "asyncio.Future[bool | None]", value: bool | None) -> None:  # noqa: FBT001 - of a callback
    if not future.done():
        future.set_result(value)


def run_batchers(
    law: SimulatedLaw, traffic: SimulatedTraffic, fleet: SimulatedFleet, seconds: float, *, seed: int = 1
) -> RunHistory:
    """Return what happens in so many seconds; the batchers log nothing of it."""
    loop, logger = VirtualTimeLoop(), logging.getLogger("autobatch_batcher")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        return loop.run_until_complete(_run(law, traffic, fleet, seconds, seed))
    finally:
        logger.setLevel(level)
        loop.close()


async def _run(
    law: SimulatedLaw, traffic: SimulatedTraffic, fleet: SimulatedFleet, seconds: float, seed: int
) -> RunHistory:
    loop = asyncio.get_running_loop()
    history = RunHistory()
    upstreams = [
        SimulatedUpstream(each, Random(seed + number), loop.call_at, loop.time, history)  # noqa: S311 - no secrets
        for number, each in enumerate([law] * fleet.upstreams + [*fleet.others])
    ]
    workers = _Workers(traffic, history, fleet)
    metrics = Metrics()
    reports: dict[str, BatcherStatus] = {}
    tasks = []
    for number in range(fleet.batchers):
        pool, end = _pool(upstreams, fleet.settings), SimulatedQueueEnd(workers.queue)
        if fleet.remembered is not None:
            for upstream in pool.upstreams:
                upstream.tuner.adopt(fleet.remembered, is_remembered=True)
        lanes = Lanes(pool.envelope_bytes)
        working = _working_loop(end, pool, lanes, fleet.settings, metrics)
        tasks.append(asyncio.create_task(_work(working, end)))
        if fleet.batchers > 1:
            tasks.append(asyncio.create_task(_report(f"{number:04}", pool, lanes, working, tasks[-1], reports)))
        if number == 0 and fleet.first_stops_s < inf:
            loop.call_later(fleet.first_stops_s, working.stop)
    await pause(seconds)
    for task in tasks:
        task.cancel()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for other in rest:
        other.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return history


class _Workers:
    """Turn requests into jobs, and replies into answers."""

    def __init__(self, traffic: SimulatedTraffic, history: RunHistory, fleet: SimulatedFleet) -> None:
        loop = asyncio.get_running_loop()
        self.queue = SimulatedQueue(self._replied)
        self._loop = loop
        self._call_inputs_max = fleet.settings.max_batch_size
        self._push_s = PUSH_S + fleet.longer_way_s
        self._apart_s = fleet.apart_s
        self._pushed_s = 0.0
        self._left: dict[int, int] = {}  # jobs of each request
        self._failed: set[int] = set()
        self._clients = SimulatedClients(traffic, loop.call_at, loop.time, self._ask, history, fleet.refused_pause_s)

    def _ask(self, number: int, asked: SimulatedRequest) -> None:
        """Push the jobs of a request, like lengths together."""
        now_s = self._loop.time()
        now_ms = int(now_s * 1000)
        self._pushed_s = max(self._pushed_s + self._apart_s, now_s + self._push_s)
        jobs = cut(asked.lengths, self._call_inputs_max, is_bulk=asked.is_bulk)
        self._left[number] = len(jobs)
        for place, own in enumerate(jobs):
            header = JobHeader(
                id=f"w1.{number}.{place}.{len(own)}",
                n=len(own),
                at=now_ms,
                deadline=now_ms + DEADLINE_MS,
                route="/embed",
                longest=own[-1],
            )
            texts = [b'"%d %d %d"' % (number * 1000 + place, each, length) for each, length in enumerate(own)]
            frame = encode(header, b"[%b]" % b",".join(texts))
            self._loop.call_at(self._pushed_s, partial(self.queue.push, len(own), frame, is_bulk=asked.is_bulk))

    def _replied(self, job: str, is_good: bool) -> None:  # noqa: FBT001 - of a pair
        _, number_word, _, inputs = job.split(".")
        number = int(number_word)
        self._left[number] -= 1
        if is_good:
            self._clients.note_replied(int(inputs))
        else:
            self._failed.add(number)
        if not self._left[number]:
            del self._left[number]
            self._clients.answer(number, is_good=number not in self._failed)
            self._failed.discard(number)


async def _work(working: WorkingLoop, end: SimulatedQueueEnd) -> None:
    """Work until told to stop; then end the lease."""
    await working.run()
    await end.sign_off()


async def _report(
    batcher: str,
    pool: Pool,
    lanes: Lanes,
    working: WorkingLoop,
    work: asyncio.Task[None],
    reports: dict[str, BatcherStatus],
) -> None:
    """Report as `Reporter` does while it works, at once where its duty has changed, and do what falls to this batcher."""
    loop, bell = asyncio.get_running_loop(), Bell()
    working.told_to_stop = bell.ring
    for upstream in pool.upstreams:
        upstream.is_healthy = True

    def report() -> bool:
        now_ms = int(loop.time() * 1000)
        statuses = pool.statuses(loop.time(), has_jobs=lanes.inputs > 0)
        reports[batcher] = BatcherStatus(now_ms, 0, statuses, id=batcher, is_stopping=working.is_stopping)
        return take_duties(pool.upstreams, batcher, list(reports.values()), now_ms)

    while not work.done():
        if report():
            working.wake()
            report()
        await bell.wait(HAND_OVER_LOOK_EVERY_S if pool.hands_over else LOOK_EVERY_S)
    del reports[batcher]


def _pool(upstreams: Sequence[SimulatedUpstream], settings: BatcherSettings) -> Pool:
    pool = Pool(
        [
            Replica(
                f"http://simulated-{number}",
                SimulatedHttpClient(upstream),
                [Tei()],
                configured(settings.max_batch_size, settings.payload_limit, settings.max_batch_tokens),
                Tuner(settings.max_concurrent_batches, is_fixed=settings.batch_shape == "fifo"),
            )
            for number, upstream in enumerate(upstreams)
        ],
        settings.upstream_patience_ms / 1000,
    )
    for replica, upstream in zip(pool.upstreams, upstreams, strict=True):
        replica.take_card(upstream.card, 0.0)
    return pool


def _working_loop(
    end: SimulatedQueueEnd, pool: Pool, lanes: Lanes, settings: BatcherSettings, metrics: Metrics
) -> WorkingLoop:
    """One batcher, put together as `app.serve` does."""
    link = SimulatedLink()
    clock = RedisClock(asyncio.get_running_loop().time)
    caller = Caller(
        pool,
        end,
        clock,
        metrics,
        timeout_max_s=settings.upstream_timeout_ms / 1000,
        attempts_max=settings.upstream_attempts,
    )
    return WorkingLoop(
        end,
        link,
        pool,
        caller,
        lanes,
        policy_named(settings.batch_policy, settings.max_wait_time_ms, settings.target_p99_ms),
        clock,
        metrics,
        lease_ms=settings.lease_ms,
    )
