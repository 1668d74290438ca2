"""Turn a batch into replies, whatever the upstream does: call, retry, split, give up. Raises its faults in trials only."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from autobatch_batcher.calling.counting import Counting, count_tokens
from autobatch_batcher.calling.suspects import Suspects
from autobatch_batcher.dialects.merging import part
from autobatch_batcher.dialects.prepared import JSON, Call, prepared
from autobatch_batcher.dialects.rows import cut
from autobatch_batcher.dialects.verdict import INPUT_ERRORS, Verdict, fault, judge, retry_pause_s
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.replies import Reply, failure
from autobatch_batcher.upstreams.replica import Answer
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_batcher.upstreams.tuning import Sample
from autobatch_shared.bell import pause
from autobatch_shared.contract.call_headers import shared
from autobatch_shared.contract.errors import AutobatchError, DeadlineExceeded, UpstreamBroken, UpstreamUnavailable
from autobatch_shared.contract.frames import ReplyHeader, encode
from autobatch_shared.redis.clock import RedisClock

log = logging.getLogger(__name__)


class _Answered(msgspec.Struct, frozen=True):
    """An answer, and when its call began and ended on the loop's clock."""

    answer: Answer
    started_s: float
    ended_s: float


class Caller:
    """Makes the upstream calls of batches.

    Args:
        pool: Where a retry may go elsewhere.
        clock: For deadlines.
        suspects: Where calls end that the upstream hung up on.
        metrics: Counts calls, retries and splits.
        timeout_max_s: The longest that one call may take.
        attempts_max: Tries of one call that fails by an outage.
    """

    def __init__(
        self,
        pool: Pool,
        suspects: Suspects,
        clock: RedisClock,
        metrics: Metrics,
        *,
        timeout_max_s: float,
        attempts_max: int,
    ) -> None:
        self._pool = pool
        self._suspects = suspects
        self._clock = clock
        self._metrics = metrics
        self._timeout_max_s = timeout_max_s
        self._attempts_max = attempts_max

    async def answer(
        self, jobs: Sequence[Job], slot: Slot, attempts_max: int | None = None, *, is_trial: bool = False
    ) -> list[Reply]:
        """Return one reply a job, in the same order.

        Args:
            jobs: Of one lane.
            slot: Where to call; it moves when a retry goes elsewhere.
            attempts_max: Less than usual for a half of a batch whose tries are used up.
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

    async def _answered(self, jobs: Sequence[Job], slot: Slot, tries: int, *, is_trial: bool) -> list[Reply]:
        """Call, and tell each job its part.

        Raises:
            UpstreamError: There is no answer that could be told.
            DeadlineExceeded: Nobody waits any more.
        """
        counting = None
        try:
            call = prepared(jobs)
            counting, first = self._begin_to_count(call, slot, tries), slot.upstream
            verdict, answered = await self._call(call, slot, tries, is_trial=is_trial)
            answer = answered.answer
            if counting is not None and slot.upstream is not first:
                counting.start()
            if verdict is Verdict.SPLIT:
                self._metrics.splits.inc()
                left = tries if answer.status in INPUT_ERRORS else 1
                early = set(call.bodies[: len(call.bodies) // 2])
                halves = [[job for job in jobs if (job.body in early) is half] for half in (True, False)]
                told = [reply for half in halves for reply in await self.answer(half, slot, left, is_trial=is_trial)]
                replies = {reply.job: reply for reply in told}
                return [replies[job.header.id] for job in jobs]
            tell = self._teller(call, answered)
            if verdict is Verdict.PASS_ON or call.merged is None:
                return [tell(job, answer.body, []) for job in jobs]
            route = jobs[0].header.route
            rows = cut(answer.body, call.inputs, route, call.merged.ids if route == "/embed_all" else ())
            bodies = [part(rows, own) for own in call.merged.places]
            if counting is None:
                return [tell(job, body, []) for job, body in zip(jobs, bodies, strict=True)]
            try:
                tokens = await counting.tokens(answer.measures)
            except AutobatchError as error:  # who did not ask for a count needs none
                log.warning("count_failed", extra={"error": str(error), "jobs": len(jobs)})
                return [
                    failure(job.header.id, error) if job.header.is_counted else tell(job, body, [])
                    for job, body in zip(jobs, bodies, strict=True)
                ]
            return [tell(*each) for each in zip(jobs, bodies, tokens, strict=True)]
        finally:
            if counting is not None:
                counting.cancel()

    def _begin_to_count(self, call: Call, slot: Slot, attempts_max: int) -> Counting | None:
        """Count the tokens of the call's inputs for those who asked, if any did."""
        if call.merged is None or not any(job.header.is_counted for job in call.jobs):
            return None

        async def count(texts: Sequence[bytes]) -> list[int]:
            ask = partial(slot.upstream.ask, content_type=JSON, timeout_s=self._time_s(call.jobs))
            return await count_tokens(ask, texts, slot.upstream.limits.input_tokens_max, attempts_max)

        return Counting(call.jobs, call.merged.items, call.merged.places, count)

    def _teller(self, call: Call, answered: _Answered) -> Callable[[Job, bytes, list[int]], Reply]:
        """Return what makes the reply to one job of the call: its answer, its tokens, and how long it took to get it."""
        answer = answered.answer
        upstream_us = int((answered.ended_s - answered.started_s) * 1e6)
        now_ms = self._clock.now_ms()
        content_type = answer.content_type if call.merged is None or answer.status != 200 else JSON
        # Nobody else was in the call, and no text of it was computed for two.
        is_own = len(call.bodies) == 1 and call.inputs == call.jobs[0].header.n
        measures = answer.measures if is_own else shared(answer.measures)
        answered_inputs = sum([job.header.n for job in call.jobs])  # equal ones count each, though they are sent once

        def tell(job: Job, body: bytes, tokens: list[int]) -> Reply:
            header = job.header
            queue_us = max(0, (now_ms - header.at) * 1000 - upstream_us)
            reply = ReplyHeader(
                header.id, answer.status, "", content_type, queue_us, upstream_us, answered_inputs, tokens, measures
            )
            return Reply(header.id, encode(reply, body))

        return tell

    async def _call(self, call: Call, slot: Slot, attempts_max: int, *, is_trial: bool) -> tuple[Verdict, _Answered]:
        """Call, up to `attempts_max` times, until there is an answer to act on.

        Raises:
            UpstreamBroken: It was well and hung up, if only once: so it may have died of this call.
            UpstreamError: All attempts failed.
            DeadlineExceeded: Nobody waits any more.
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
                status = answered.answer.status
                if answered.answer.is_of_another_model:
                    return Verdict.PASS_ON, answered
                verdict = judge(status, len(call.bodies), is_verbatim=call.merged is None, may_retry=may_retry)
                if verdict is Verdict.GIVE_UP:
                    raise fault(status)
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
            answer = await upstream.post(call.jobs[0].header.route, call.body, call.content_type, timeout_s)
            code = answer.status
        finally:
            ended_s = loop.time()
            self._metrics.upstream_calls.labels(code).inc()
            self._metrics.upstream_seconds.observe(ended_s - started_s)
            upstream.tuner.note(_sample(call, slot, started_s, ended_s, is_good=code == 200))
        return _Answered(answer, started_s, ended_s)

    def _time_s(self, jobs: Sequence[Job]) -> float:
        """The longest that a call for these jobs may take.

        Raises:
            DeadlineExceeded: Nobody waits any more.
        """
        left_s = (max([job.header.deadline for job in jobs]) - self._clock.now_ms()) / 1000
        if left_s <= 0:
            raise DeadlineExceeded
        return min(left_s, self._timeout_max_s)


def _sample(call: Call, slot: Slot, started_s: float, ended_s: float, *, is_good: bool) -> Sample:
    """Return what to tell the tuner of a call: of one that was not good, or whose inputs nobody knows, when it ran."""
    units = useful = 0
    if is_good and call.merged is not None:
        units = call.inputs * max([job.longest for job in call.jobs])
        useful = min(units, sum({job.body: job.units for job in call.jobs}.values()))
    return Sample(slot.setting, units, useful, started_s, ended_s, slot.was_busy)
