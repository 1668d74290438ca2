"""Turn a batch into one outcome a job, whatever the upstream does: call, retry, split, give up.

Faults are raised in trials only. More than 250 lines, because calling, retrying, splitting and answering are one story.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from autobatch_batcher.calling.calls import Call, call_for, part
from autobatch_batcher.calling.counting import Counting, count_tokens
from autobatch_batcher.calling.outcomes import JobOutcome, failure
from autobatch_batcher.calling.suspects import Suspects
from autobatch_batcher.dialects.base import JSON, Answer, Dialect
from autobatch_batcher.dialects.verdict import INPUT_ERRORS, Verdict, fault, retry_pause_s
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_batcher.upstreams.tuning import Sample
from autobatch_shared.bell import pause
from autobatch_shared.contract.call_headers import shared
from autobatch_shared.contract.errors import AutobatchError, DeadlineExceeded, UpstreamBroken, UpstreamUnavailable
from autobatch_shared.contract.frames import ReplyHeader, encode
from autobatch_shared.redis.clock import RedisClock

log = logging.getLogger(__name__)

#: Makes the outcome of one job: from its part of the answer and the tokens of its inputs.
Tell = Callable[[Job, bytes, list[int]], JobOutcome]


class _Answered(msgspec.Struct, frozen=True):
    """An answer, and when its call began and ended on the loop's clock."""

    answer: Answer
    started_s: float
    ended_s: float


class Caller:
    """Makes the upstream calls of batches.

    Args:
        pool: All upstreams, of which another may take a retry.
        dialect: The API that all upstreams of the pool speak.
        suspects: Takes over the jobs of a call that the upstream hung up on.
        clock: Redis's clock, by which deadlines are checked.
        metrics: Counts calls, retries and splits.
        timeout_max_s: The most seconds that one call may take.
        attempts_max: The most attempts of a call that fails because of an outage, the first included.
    """

    def __init__(
        self,
        pool: Pool,
        dialect: Dialect,
        suspects: Suspects,
        clock: RedisClock,
        metrics: Metrics,
        *,
        timeout_max_s: float,
        attempts_max: int,
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._suspects = suspects
        self._clock = clock
        self._metrics = metrics
        self._timeout_max_s = timeout_max_s
        self._attempts_max = attempts_max

    async def answer(
        self, jobs: Sequence[Job], slot: Slot, attempts_max: int | None = None, *, is_trial: bool = False
    ) -> list[JobOutcome]:
        """Return one outcome a job, in the same order.

        Args:
            jobs: At least one job, all of one lane.
            slot: The permission for the call; it moves to another upstream when a retry does.
            attempts_max: The most attempts of the call; None: as usual. A half of a batch that has used up its own gets
                fewer.
            is_trial: Whether these jobs are tried alone, because the upstream may have died of them.

        Raises:
            UpstreamBroken: It hung up on a trial.
        """
        tries = attempts_max or self._attempts_max
        try:
            return await self._answered(jobs, slot, tries, is_trial=is_trial)
        except UpstreamBroken:
            if is_trial:
                raise
            return await self._suspects.try_each(jobs, slot, tries, self.answer)
        except AutobatchError as error:
            log.warning("batch_failed", extra={"error": str(error), "code": error.code, "jobs": len(jobs)})
            return [failure(job.header.id, error) for job in jobs]

    async def _answered(self, jobs: Sequence[Job], slot: Slot, tries: int, *, is_trial: bool) -> list[JobOutcome]:
        """Call, and give each job its part.

        Raises:
            UpstreamError: There is no answer that could be given.
            DeadlineExceeded: The deadline of every job has passed.
        """
        call = call_for(jobs, self._dialect)
        counting, first = self._begin_to_count(call, slot, tries), slot.upstream
        try:
            verdict, answered = await self._call(call, slot, tries, is_trial=is_trial)
            if verdict is Verdict.SPLIT:
                left = tries if answered.answer.status in INPUT_ERRORS else 1
                return await self._split(call, slot, left, is_trial=is_trial)
            tell = self._teller(call, answered)
            if verdict is Verdict.PASS_ON or call.merged is None:
                return [tell(job, answered.answer.body, []) for job in jobs]
            route = jobs[0].header.route
            may_be_empty = call.merged.ids if route == "/embed_all" else ()
            rows = self._dialect.cut(answered.answer, route, call.inputs, may_be_empty)
            bodies = [part(rows, own) for own in call.merged.places]
            if counting is None:
                return [tell(job, body, []) for job, body in zip(jobs, bodies, strict=True)]
            if slot.upstream is not first:
                counting.start()
            counted = self._dialect.counted(answered.answer)
            return await _with_tokens(jobs, bodies, tell, counting, counted)
        finally:
            if counting is not None:
                counting.cancel()

    async def _split(self, call: Call, slot: Slot, tries: int, *, is_trial: bool) -> list[JobOutcome]:
        """Ask for the call's jobs in two halves, one after the other; jobs of the same inputs stay together."""
        self._metrics.splits.inc()
        early = set(call.bodies[: len(call.bodies) // 2])
        found: dict[str, JobOutcome] = {}
        for is_early in (True, False):
            half = [job for job in call.jobs if (job.body in early) is is_early]
            found |= {each.job: each for each in await self.answer(half, slot, tries, is_trial=is_trial)}
        return [found[job.header.id] for job in call.jobs]

    def _begin_to_count(self, call: Call, slot: Slot, attempts_max: int) -> Counting | None:
        """Count the tokens of the call's inputs for those who asked, if any did."""
        if call.merged is None or not any(job.header.is_counted for job in call.jobs):
            return None

        async def count(texts: Sequence[bytes]) -> list[int]:
            ask = partial(slot.upstream.ask, timeout_s=self._time_s(call.jobs))
            return await count_tokens(ask, self._dialect, texts, slot.upstream.limits.input_tokens_max, attempts_max)

        return Counting(call.jobs, call.merged, count)

    def _teller(self, call: Call, answered: _Answered) -> Tell:
        """Return what makes the outcome of one job of the call: its answer, its tokens, and how long it took to get it."""
        answer = answered.answer
        upstream_us = int((answered.ended_s - answered.started_s) * 1e6)
        now_ms = self._clock.now_ms()
        content_type = answer.content_type if call.merged is None or answer.status != 200 else JSON
        # No other request was in the call, and no text of it was computed for two.
        is_own = len(call.bodies) == 1 and call.inputs == call.jobs[0].header.n
        measures = answer.measures if is_own else shared(answer.measures)
        answered_inputs = sum([job.header.n for job in call.jobs])  # equal ones count each, though they are sent once

        def tell(job: Job, body: bytes, tokens: list[int]) -> JobOutcome:
            header = job.header
            queue_us = max(0, (now_ms - header.at) * 1000 - upstream_us)
            reply = ReplyHeader(
                id=header.id,
                status=answer.status,
                content_type=content_type,
                queue_us=queue_us,
                upstream_us=upstream_us,
                batch=answered_inputs,
                tokens=tokens,
                measures=measures,
            )
            return JobOutcome(header.id, encode(reply, body))

        return tell

    async def _call(self, call: Call, slot: Slot, attempts_max: int, *, is_trial: bool) -> tuple[Verdict, _Answered]:
        """Call, up to `attempts_max` times, until there is an answer to act on.

        Raises:
            UpstreamBroken: It was well and hung up, if only once: so it may have died of this call.
            UpstreamError: All attempts failed.
            DeadlineExceeded: The deadline of every job has passed.
        """
        jobs = call.jobs
        attempt = 0
        while True:
            may_retry = attempt + 1 < attempts_max
            retry_after = None
            was_well = slot.upstream.is_healthy
            try:
                answered = await self._post(call, slot)
            except UpstreamUnavailable as error:
                if isinstance(error, UpstreamBroken) and (was_well or is_trial):
                    raise
                if not may_retry:
                    raise UpstreamUnavailable from error
            else:
                is_verbatim = call.merged is None
                verdict = self._dialect.judge(
                    answered.answer, len(call.bodies), is_verbatim=is_verbatim, may_retry=may_retry
                )
                if verdict is Verdict.GIVE_UP:
                    raise fault(answered.answer.status)
                if verdict is not Verdict.RETRY:
                    return verdict, answered
                retry_after = answered.answer.retry_after
            self._metrics.retries.inc()
            log.warning(
                "upstream_retry", extra={"attempt": attempt + 1, "jobs": len(jobs), "upstream": slot.upstream.name}
            )
            await pause(retry_pause_s(attempt, retry_after))
            slot.move_to(self._pool.other_than(slot, sum(job.header.n for job in jobs)))
            attempt += 1

    async def _post(self, call: Call, slot: Slot) -> _Answered:
        """One attempt, for no longer than the most patient of the clients."""
        timeout_s = self._time_s(call.jobs)
        upstream = slot.upstream
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        code = 0
        try:
            answer = await upstream.call(call.post, timeout_s)
            code = answer.status
            if answer.was_sent_again:
                self._metrics.sent_again.inc()
        finally:
            ended_s = loop.time()
            self._metrics.upstream_calls.labels(code).inc()
            self._metrics.upstream_seconds.observe(ended_s - started_s)
            upstream.tuner.note(_sample(call, slot, started_s, ended_s, is_good=code == 200))
        return _Answered(answer, started_s, ended_s)

    def _time_s(self, jobs: Sequence[Job]) -> float:
        """The longest that a call for these jobs may take.

        Raises:
            DeadlineExceeded: The deadline of every job has passed.
        """
        left_s = (max([job.header.deadline for job in jobs]) - self._clock.now_ms()) / 1000
        if left_s <= 0:
            raise DeadlineExceeded
        return min(left_s, self._timeout_max_s)


def _sample(call: Call, slot: Slot, started_s: float, ended_s: float, *, is_good: bool) -> Sample:
    """Return what to tell the tuner of a call: of a call that failed or whose inputs are unknown, only when it ran."""
    units = useful = 0
    if is_good and call.merged is not None:
        units = call.inputs * max([job.longest for job in call.jobs])
        useful = min(units, sum({job.body: job.units for job in call.jobs}.values()))
    return Sample(slot.setting, units, useful, started_s, ended_s, slot.was_busy)


async def _with_tokens(
    jobs: Sequence[Job], bodies: Sequence[bytes], tell: Tell, counting: Counting, counted: int | None
) -> list[JobOutcome]:
    """Give each job its part and its tokens; a count that failed fails only the jobs that asked for it."""
    try:
        tokens = await counting.tokens(counted)
    except AutobatchError as error:
        log.warning("count_failed", extra={"error": str(error), "jobs": len(jobs)})
        return [
            failure(job.header.id, error) if job.header.is_counted else tell(job, body, [])
            for job, body in zip(jobs, bodies, strict=True)
        ]
    return [tell(*each) for each in zip(jobs, bodies, tokens, strict=True)]
