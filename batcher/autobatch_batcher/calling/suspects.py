"""Calls that the upstream hung up on: it may have crashed on one of their inputs, and it is unknown on which.

1. Each different input is tried alone, and no other suspect of any batcher meanwhile: so an upstream that dies then
   has died of this one, and its neighbours in the call, and in others that were cut with it, are cleared. Calls that
   were cut while another suspect was tried are most likely innocent, and are first tried as they were.
2. Nothing is tried before the upstream is back, and suspects hold no slot while they wait.
3. One that it died of again is given up. An upstream that hangs up and lives on has an outage, for which no input
   is to blame.
"""

import logging
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from autobatch_batcher.calling.outcomes import JobOutcome, failure
from autobatch_batcher.dialects.verdict import retry_pause_s
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import (
    AutobatchError,
    JobPoisonous,
    QueueUnavailable,
    UpstreamBroken,
    UpstreamUnavailable,
)
from autobatch_shared.contract.frames import encode
from autobatch_shared.redis.clock import RedisClock

log = logging.getLogger(__name__)

PATIENCE_MS = 10_000  # for an upstream to come back: what a small model takes to start again
LOOK_EVERY_S = 0.05
LINGER_MS = 300  # after a hang-up, so that the other calls that were cut see that a trial ran
TRIAL_MAX_MS = 30_000  # a batcher that dies in a trial keeps the others waiting no longer
DIED_TWICE = "The request was given up after the upstream died twice while working on it"


class Answering(Protocol):
    """How a trial is made: `Caller.answer`."""

    def __call__(
        self, jobs: Sequence[Job], slot: Slot, attempts_max: int | None = None, *, is_trial: bool = False
    ) -> Awaitable[list[JobOutcome]]:
        """Return one reply a job; raise UpstreamBroken when the upstream hangs up."""
        ...


class Trials(Protocol):
    """What all batchers must agree on: see `BatcherQueue`."""

    def begin_trial(self, ttl_ms: int) -> Awaitable[bool]:
        """Become the only one that tries, unless another one is."""
        ...

    def end_trial(self, linger_ms: int) -> Awaitable[None]:
        """Let the next one try so much later."""
        ...

    def is_trying(self) -> Awaitable[bool]:
        """Whether any batcher is trying one."""
        ...

    def bury(self, frame: bytes) -> Awaitable[None]:
        """Keep a job that is given up."""
        ...


class Suspects:
    """Tries suspects alone.

    Args:
        pool: All upstreams, of which another may be free for the suspects.
        trials: The record in Redis that lets one batcher at a time try.
        clock: Redis's clock, by which deadlines are checked.
        metrics: Counts the jobs that are given up.
    """

    def __init__(self, pool: Pool, trials: Trials, clock: RedisClock, metrics: Metrics) -> None:
        self._pool = pool
        self._trials = trials
        self._clock = clock
        self._metrics = metrics

    async def try_each(
        self, jobs: Sequence[Job], slot: Slot, attempts_max: int, answering: Answering
    ) -> list[JobOutcome]:
        """Return one reply a job, in the same order; the call of them all was the first attempt."""
        log.warning("upstream_hung_up", extra={"jobs": len(jobs), "upstream": slot.upstream.name})
        slot.release()
        if await self._is_trying():
            try:
                return await self._try_once(jobs, slot, self._pool.other_than(slot, len(jobs)), answering)
            except UpstreamBroken:
                log.warning("upstream_hung_up_again", extra={"jobs": len(jobs), "upstream": slot.upstream.name})
            except AutobatchError as error:
                return [failure(job.header.id, error) for job in jobs]
        replies: dict[str, JobOutcome] = {}
        outage: AutobatchError | None = None
        is_any_cleared = False
        for alike in _by_input(jobs):
            if outage is None:
                try:
                    told = await self._try(alike, slot, attempts_max, answering)
                    is_any_cleared = True
                except AutobatchError as error:
                    told = [failure(job.header.id, error) for job in alike]
                    outage = None if is_any_cleared or isinstance(error, JobPoisonous) else error
            else:
                told = [failure(job.header.id, outage) for job in alike]
            replies |= {reply.job: reply for reply in told}
        return [replies[job.header.id] for job in jobs]

    async def _try(self, alike: Sequence[Job], slot: Slot, attempts_max: int, answering: Answering) -> list[JobOutcome]:
        """Try one input, as often as the attempts allow.

        Raises:
            JobPoisonous: The upstream died of it.
            UpstreamUnavailable: It does not come back, or hangs up again and again.
        """
        for attempt in range(max(1, attempts_max - 1)):
            try:
                return await self._try_once(alike, slot, self._pool.other_than(slot, 1), answering)
            except UpstreamBroken as error:
                if not await slot.upstream.listens():
                    await self._give_up(alike)
                    raise JobPoisonous(DIED_TWICE) from error
                broken = error
            await pause(retry_pause_s(attempt, None))
        raise broken

    async def _try_once(
        self, jobs: Sequence[Job], slot: Slot, upstream: Replica, answering: Answering
    ) -> list[JobOutcome]:
        """Make one call when the upstream is back and no other trial runs."""
        until_ms = min(self._clock.now_ms() + PATIENCE_MS, max(job.header.deadline for job in jobs))
        while not ((upstream.is_healthy or await upstream.listens()) and await self._begin()):
            if self._clock.now_ms() >= until_ms:
                raise UpstreamUnavailable
            await pause(LOOK_EVERY_S)
        ends_ms = self._clock.now_ms() + TRIAL_MAX_MS
        slot.take_again(upstream)
        self._metrics.retries.inc()
        linger_ms = LINGER_MS
        try:
            replies = await answering(jobs, slot, is_trial=True)
            linger_ms = 0
        finally:
            slot.release()
            if self._clock.now_ms() < ends_ms:  # else it may be another batcher's by now
                with suppress(QueueUnavailable):  # then it ends with its TTL
                    await self._trials.end_trial(linger_ms)
        return replies

    async def _begin(self) -> bool:
        try:
            return await self._trials.begin_trial(TRIAL_MAX_MS)
        except QueueUnavailable:
            return False

    async def _is_trying(self) -> bool:
        try:
            return await self._trials.is_trying()
        except QueueUnavailable:
            return False

    async def _give_up(self, alike: Sequence[Job]) -> None:
        self._metrics.jobs_dead.inc(len(alike))
        log.error("jobs_dead", extra={"jobs": len(alike)})
        for job in alike:
            with suppress(QueueUnavailable):  # its sender is told all the same
                await self._trials.bury(encode(job.header, job.body))


def _by_input(jobs: Iterable[Job]) -> list[list[Job]]:
    """Return the jobs in the order of their arrival, those with the same body together."""
    alike: dict[bytes, list[Job]] = {}
    for job in jobs:
        alike.setdefault(job.body, []).append(job)
    return list(alike.values())
