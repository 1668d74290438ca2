"""Calls that the upstream hung up on: it may have crashed on one of their inputs, and it is unknown on which.

1. Each different input is tried alone, and no other suspect of any batcher meanwhile: so an upstream that dies then
   has died of this one, and its neighbours in the call, and in others that were cut with it, are cleared. Calls that
   were cut while another suspect was tried are most likely innocent, and are first tried as they were.
2. Where that would take some seconds, or there is no time for it before their deadlines, as many are tried together as it takes; one of such
   a group that the upstream dies of is looked for in halves.
3. An input that is cleared is answered at once, and not when the last one is.
4. Nothing is tried before an upstream is well, that one or another, and suspects hold no slot while they wait. Where only
   other batchers have one that is well, they get the suspects back from the queue.
5. One that it died of again is given up; where another call was cut with the trial, which may have been the cause, once it
   died of it in a further one. An upstream that hangs up and lives on has an outage, for which no input
   is to blame.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from autobatch_batcher.calling.blame.parting import by_input
from autobatch_batcher.calling.blame.trials import LOOK_EVERY_S, Answering, Trials, Turn, inputs_at_once, split_off
from autobatch_batcher.calling.outcomes import Early, JobOutcome, unanswered
from autobatch_batcher.dialects.verdict import retry_pause_s
from autobatch_batcher.jobs import Job, named
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import (
    AutobatchError,
    DeadlineExceeded,
    JobPoisonous,
    QueueUnavailable,
    UpstreamBroken,
    UpstreamUnavailable,
)
from autobatch_shared.contract.frames import encode
from autobatch_shared.redis.clock import RedisClock

log = logging.getLogger(__name__)

PATIENCE_S = 10.0  # for an upstream to come back: what a small model takes to start again
LINGER_MS = 300  # after a hang-up, so that the other calls that were cut see that a trial ran
DIED_TWICE = "The request was given up after the upstream died twice while working on it"


class Suspects:
    """Tries suspects alone, or as many together as there is time for.

    Attributes:
        patience_s: Seconds that suspects wait for the upstream to be back.

    Args:
        pool: All upstreams, of which another may be free for the suspects.
        trials: The record in Redis that lets one batcher at a time try.
        answering: Makes a trial.
        clock: Checks deadlines and times trials, by its monotonic side: a step of Redis's clock must not move a wait.
        metrics: Counts the jobs that are given up.
        patience_s: Seconds that suspects wait for the upstream to be back.
    """

    def __init__(
        self,
        pool: Pool,
        trials: Trials,
        answering: Answering,
        clock: RedisClock,
        metrics: Metrics,
        *,
        patience_s: float,
    ) -> None:
        self._pool = pool
        self._trials = trials
        self._answering = answering
        self._clock = clock
        self._metrics = metrics
        self.patience_s = patience_s
        self._calls = 0  # whose jobs are tried now
        self._cut = 0  # calls that an upstream hung up on, trials apart

    async def try_each(
        self, jobs: Sequence[Job], slot: Slot, attempts_max: int, early: Early | None = None
    ) -> list[JobOutcome]:
        """Return one outcome a job, in the same order; the call of them all was the first attempt.

        Args:
            jobs: All jobs of the call.
            slot: The call's permission, which is given back at once.
            attempts_max: The most attempts of a call.
            early: Takes outcomes as soon as there are some; None: they are all returned in the end.
        """
        log.warning("upstream_hung_up", extra={**named(jobs), "upstream": slot.upstream.name})
        least_ms = slot.upstream.tuner.recent.least(asyncio.get_running_loop().time()).ms(jobs[0].units)
        slot.release()
        self._calls += 1
        self._cut += 1
        try:
            if await self._is_trying():
                try:
                    return await self._try_once(jobs, slot)
                except UpstreamBroken:
                    log.warning("upstream_hung_up_again", extra={**named(jobs), "upstream": slot.upstream.name})
                except AutobatchError as error:
                    return self._failures(jobs, slot, error)
            return await self._find(jobs, slot, attempts_max, early, least_ms * self._calls)
        finally:
            self._calls -= 1

    async def _find(
        self,
        jobs: Sequence[Job],
        slot: Slot,
        attempts_max: int,
        early: Early | None,
        trial_ms: float,
    ) -> list[JobOutcome]:
        """Try all of them, in groups as small as there is time for; `trial_ms` is what a trial takes, as far as is known."""
        groups = deque([by_input(jobs)])
        suspects = len(groups[0])
        found: dict[str, JobOutcome] = {}
        outage: AutobatchError | None = None
        is_any_cleared = False
        while groups:
            group = groups.popleft()
            if outage is None:
                lefts_ms = [left for each in (group, *groups) for left in self._lefts_ms(each)]
                group, rest = split_off(group, inputs_at_once(lefts_ms, trial_ms, suspects))
                if rest:
                    groups.appendleft(rest)
            alike = [job for each in group for job in each]
            if outage is not None:
                outcomes = self._failures(alike, slot, outage)
            else:
                try:
                    outcomes, trial_ms = await self._try(alike, slot, attempts_max)
                    is_any_cleared = True
                except AutobatchError as error:
                    if isinstance(error, JobPoisonous) and len(group) > 1:
                        groups.extend(split_off(group, len(group) // 2))
                        continue
                    if isinstance(error, JobPoisonous):
                        await self._give_up(alike)
                    outcomes = self._failures(alike, slot, error)
                    # That some had no time to wait for the upstream says nothing of those that have more.
                    is_late = self._clock.mono_s() >= _ends_mono_s(alike)
                    outage = None if is_any_cleared or is_late or isinstance(error, JobPoisonous) else error
            found |= {outcome.job: outcome for outcome in outcomes}
            if early is not None:
                await early(outcomes)
        return [found[job.header.id] for job in jobs]

    @property
    def _are_others_better(self) -> bool:
        return self._pool.are_others_better(asyncio.get_running_loop().time())

    def _lefts_ms(self, group: Iterable[Sequence[Job]]) -> list[float]:
        """What is left of the deadline of each input of a group, in milliseconds."""
        now_mono_s = self._clock.mono_s()
        return [(_ends_mono_s(alike) - now_mono_s) * 1000 for alike in group]

    async def _try(self, alike: Sequence[Job], slot: Slot, attempts_max: int) -> tuple[list[JobOutcome], float]:
        """Try one input or several together, as often as the attempts allow; return the outcomes and the milliseconds it took.

        Raises:
            JobPoisonous: The upstream died of it.
            UpstreamUnavailable: It does not come back, or hangs up again and again.
        """
        trial, trials = 0, max(1, attempts_max - 1)
        while True:
            cut, is_last = self._cut, trial + 1 == trials
            try:
                await self._first_back(alike, slot)
                started_mono_s = self._clock.mono_s()
                outcomes = await self._try_once(alike, slot)
                return outcomes, (self._clock.mono_s() - started_mono_s) * 1000
            except UpstreamBroken as error:
                is_cause = is_last or self._cut == cut
                if not await slot.upstream.listens() and is_cause:
                    raise JobPoisonous(DIED_TWICE) from error
                if is_last:
                    raise
            await pause(retry_pause_s(trial, None))
            trial += 1

    def _failures(self, jobs: Sequence[Job], slot: Slot, error: AutobatchError) -> list[JobOutcome]:
        """The outcomes of jobs that were not tried to the end: they wait where another upstream is well, of ours or of others."""
        is_outage = isinstance(error, UpstreamUnavailable) and not isinstance(error, UpstreamBroken)
        may_wait = is_outage and (self._pool.has_other_than(slot.upstream) or self._are_others_better)
        return [unanswered(job, error, self._clock.now_ms(), may_wait=may_wait) for job in jobs]

    async def _first_back(self, jobs: Sequence[Job], slot: Slot) -> Replica:
        """Return another upstream that is well, or wait for this one, as long as suspects wait and their deadlines allow.

        The other one may have no room: only one trial is made at a time, and usual calls would take each slot that becomes free.

        Raises:
            UpstreamUnavailable: It is not back.
        """
        until_mono_s = min(self._clock.mono_s() + self.patience_s, _ends_mono_s(jobs))
        while True:
            is_bad = not slot.upstream.is_healthy or self._pool.passes_over(slot.upstream)
            upstream = self._pool.other_than(slot, len(jobs), though_full=is_bad)
            if upstream.is_healthy or await upstream.listens():
                return upstream
            if self._clock.mono_s() >= until_mono_s or self._are_others_better:
                raise UpstreamUnavailable
            await pause(LOOK_EVERY_S)

    async def _try_once(self, jobs: Sequence[Job], slot: Slot) -> list[JobOutcome]:
        """Make one call when an upstream is back and no other trial runs."""
        upstream = await self._first_back(jobs, slot)
        turn, linger_ms = Turn(self._trials, self._clock), 0
        try:
            while not await turn.begin():
                if self._clock.mono_s() >= _ends_mono_s(jobs):
                    raise DeadlineExceeded
                await pause(LOOK_EVERY_S)
                upstream = await self._first_back(jobs, slot)
            slot.take_again(upstream)
            self._metrics.retries.inc()
            linger_ms = LINGER_MS
            outcomes = await self._answering(jobs, slot)
            linger_ms = 0
        finally:
            slot.release()
            await turn.end(linger_ms)
        return outcomes

    async def _is_trying(self) -> bool:
        try:
            return await self._trials.is_trying()
        except QueueUnavailable:
            return False

    async def _give_up(self, alike: Sequence[Job]) -> None:
        self._metrics.jobs_dead.inc(len(alike))
        log.error("jobs_dead", extra=named(alike))
        for job in alike:
            with suppress(QueueUnavailable):  # its sender is told all the same
                await self._trials.bury(encode(job.header, job.body))


def _ends_mono_s(jobs: Iterable[Job]) -> float:
    """When the last of their deadlines has passed, on the monotonic clock."""
    return max(job.ends_mono_s for job in jobs)
