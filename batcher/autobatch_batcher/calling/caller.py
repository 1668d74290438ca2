"""Turn a batch into one outcome a job, whatever the upstream does: call, split, give up.

Faults are raised in trials only.

More than 250 lines, because a half, a piece and a whole batch are one call here, with one slot and one count of attempts.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from autobatch_batcher.calling.attempts import Attempts, Effort, SignedAnswer
from autobatch_batcher.calling.blame.parting import in_parts
from autobatch_batcher.calling.blame.suspects import PATIENCE_S, Suspects
from autobatch_batcher.calling.blame.trials import Trials
from autobatch_batcher.calling.calls import Call, call_for, part, piece_of
from autobatch_batcher.calling.counting import Counting, count_tokens
from autobatch_batcher.calling.lingering import CallStuck
from autobatch_batcher.calling.outcomes import Early, JobOutcome, Tell, unanswered
from autobatch_batcher.calling.retries import NotNow, Retries, set_back
from autobatch_batcher.dialects.base import JSON, Answer
from autobatch_batcher.dialects.rows import components
from autobatch_batcher.dialects.verdict import INPUT_ERRORS, Verdict, retry_pause_s
from autobatch_batcher.jobs import Job, named
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.bell import pause
from autobatch_shared.contract.call_headers import shared
from autobatch_shared.contract.errors import (
    AutobatchError,
    InvalidAnswer,
    InvalidRequest,
    NotComputed,
    UpstreamBroken,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamUnavailable,
)
from autobatch_shared.contract.frames import ReplyHeader, encode
from autobatch_shared.redis.clock import RedisClock

log = logging.getLogger(__name__)

OTHER_LENGTH = "The upstream's rows have another length than those of its model"


class Computed(msgspec.Struct, frozen=True):
    """What came of one call, or of all its pieces.

    Attributes:
        verdict: What to do with it.
        answered: The answer; of several, the last one's as of the first's model.
        rows: The rows of all inputs, if it was good.
        tokens: Number of tokens of all inputs; None where it was not asked for, or an answer did not say.
    """

    verdict: Verdict
    answered: SignedAnswer
    rows: list[bytes] = []
    tokens: int | None = None

    def and_then(self, other: "Computed") -> "Computed":
        """Return this piece and the one after it as one."""
        first = self.answered
        return Computed(
            self.verdict,
            SignedAnswer(other.answered.answer, first.model, first.upstream),
            self.rows + other.rows,
            None if self.tokens is None or other.tokens is None else self.tokens + other.tokens,
        )


class Caller:
    """Makes the upstream calls of batches.

    Args:
        pool: All upstreams, of which another may take a retry.
        trials: The record in Redis that lets one batcher at a time try what the upstream may have died of.
        clock: Redis's clock, by which deadlines are checked.
        metrics: Counts calls, retries and splits.
        timeout_max_s: The most seconds that one call may take.
        attempts_max: The most attempts of a call that fails because of an outage, the first included.
        patience_s: Seconds that such suspects wait for the upstream to be back.
    """

    def __init__(
        self,
        pool: Pool,
        trials: Trials,
        clock: RedisClock,
        metrics: Metrics,
        *,
        timeout_max_s: float,
        attempts_max: int,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._retries = Retries(pool, metrics)
        self._attempts = Attempts(pool, clock, metrics, self._retries, timeout_max_s=timeout_max_s)
        self._usual = Effort(attempts_max)
        self._suspects = Suspects(pool, trials, self._try, clock, metrics, patience_s=patience_s)

    def bound(self, *, timeout_max_s: float, attempts_max: int, patience_s: float) -> None:
        """Keep to other bounds from the next call on, as in `Args`."""
        self._attempts.timeout_max_s = timeout_max_s
        self._usual = Effort(attempts_max)
        self._suspects.patience_s = patience_s

    def answer(
        self, jobs: Sequence[Job], slot: Slot, *, early: Early | None = None
    ) -> Coroutine[Any, Any, list[JobOutcome]]:
        """Return one outcome a job, in the same order, as `AnsweringBatches` has it."""
        return self.answer_with(self._usual, jobs, slot, early=early)

    def _try(self, jobs: Sequence[Job], slot: Slot) -> Coroutine[Any, Any, list[JobOutcome]]:
        """Make a trial of suspects."""
        return self.answer_with(Effort(self._usual.attempts_max, is_trial=True), jobs, slot)

    async def answer_with(
        self, effort: Effort, jobs: Sequence[Job], slot: Slot, *, early: Early | None = None
    ) -> list[JobOutcome]:
        """Return what `answer` does, with this effort instead of the usual one.

        Args:
            effort: What a call is worth; a half of a batch that has used up its attempts gets fewer.
            jobs: As of `answer`.
            slot: As of `answer`.
            early: As of `answer`.

        Raises:
            UpstreamBroken: It hung up on a trial.
        """
        now_s = asyncio.get_running_loop().time()
        if not (effort.is_trial or effort.is_part) and not self._pool.may_call(slot.upstream, now_s):
            # It was taken out, or its trial began, after this slot was taken.
            may_wait = self._pool.is_trying or self._pool.may_wait(now_s)
            error = UpstreamUnavailable(slot.upstream.told_to_clients)
            return [unanswered(job, error, self._clock.now_ms(), may_wait=may_wait) for job in jobs]
        try:
            return await self._answered(effort, jobs, slot, early)
        except UpstreamBroken as error:
            self._retries.failed(slot, error.cause, "tried alone", jobs)
            if effort.is_trial:
                raise
            return await self._after_hang_up(error, effort, jobs, slot, early)
        except NotNow as not_now:
            self._retries.failed(slot, str(not_now), "waiting", jobs)
            return [unanswered(job, not_now.error, self._clock.now_ms(), may_wait=True) for job in jobs]
        except AutobatchError as error:
            if isinstance(error, (InvalidAnswer, CallStuck)) and _differ(jobs) and await self._retries.may_split(slot):
                self._retries.failed(slot, error.cause, "split", jobs)
                self._metrics.splits.inc()
                effort = Effort(1, is_trial=effort.is_trial, is_part=True)
            elif not isinstance(error, InvalidRequest) or not _differ(jobs):
                return self._failures(jobs, slot, error)
            # An input may be to blame, or what all ask for. Only whose it is gets the error.
            return await in_parts(
                jobs, slot, partial(self.answer_with, effort, early=early), early, is_trial=effort.is_trial
            )

    async def _after_hang_up(
        self, error: UpstreamBroken, effort: Effort, jobs: Sequence[Job], slot: Slot, early: Early | None
    ) -> list[JobOutcome]:
        """Answer jobs on which an upstream hung up: in parts if it lives on, each alone and one at a time if it may have died of one."""
        if not error.lives:
            return await self._suspects.try_each(jobs, slot, effort.attempts_max, early)
        again = Effort(1, is_part=True, hang_ups=effort.hang_ups + 1)
        if _differ(jobs):
            self._metrics.splits.inc()
            return await in_parts(jobs, slot, partial(self.answer_with, again, early=early), early, is_trial=False)
        if again.hang_ups < self._usual.attempts_max:
            self._metrics.retries.inc()
            await pause(retry_pause_s(effort.hang_ups, None))
            return await self.answer_with(again, jobs, slot, early=early)
        slot.upstream.note_failed_alone()
        return self._failures(jobs, slot, error)  # the input may be to blame, or the network

    def _failures(self, jobs: Sequence[Job], slot: Slot, error: AutobatchError) -> list[JobOutcome]:
        """The outcomes of jobs that got no answer: they wait where the upstream may be back in their time."""
        may_wait = isinstance(error, UpstreamUnavailable) and self._pool.may_wait(asyncio.get_running_loop().time())
        if isinstance(error, InvalidRequest | NotComputed):
            pass  # the dialect has refused what was asked for: nothing failed
        elif isinstance(error, UpstreamError):
            if isinstance(error, InvalidAnswer):
                slot.upstream.note_failed_alone()
            self._retries.failed(slot, error.cause or str(error), "waiting" if may_wait else "failed", jobs)
        else:
            log.warning("batch_failed", extra={"error": str(error), "code": error.code, **named(jobs)})
        return [unanswered(job, error, self._clock.now_ms(), may_wait=may_wait) for job in jobs]

    async def _answered(self, effort: Effort, jobs: Sequence[Job], slot: Slot, early: Early | None) -> list[JobOutcome]:
        """Call, and give each job its part.

        Raises:
            NotNow: The upstream takes no call now.
            UpstreamError: No answer can be given.
            DeadlineExceeded: The deadline of every job has passed.
        """
        call = call_for(jobs)
        counting, first = self._begin_to_count(call, slot, effort.attempts_max), slot.upstream
        try:
            computed = await self._compute(effort, call, slot)
            verdict, answered, rows = computed.verdict, computed.answered, computed.rows
            if verdict is Verdict.SPLIT:
                return await self._split(effort, call, slot, answered, early)
            tell = _teller(call, answered, self._clock.now_ms())
            if verdict is Verdict.TELL:
                self._retries.failed(slot, _refusal(answered.answer), "failed", jobs)
            if call.merged is not None:
                _note_inputs(verdict, call, slot)
            if verdict in (Verdict.PASS_ON, Verdict.TELL) or call.merged is None:
                return [tell(job, answered.answer.body, []) for job in jobs]
            if not _fits(call, slot, rows):
                if set_back(jobs) > 1 and await slot.upstream.answers_ours():  # it is the model that it was
                    raise InvalidAnswer(OTHER_LENGTH).because(OTHER_LENGTH)
                slot.upstream.doubt(asyncio.get_running_loop().time())
                raise NotNow(UpstreamProtocolError(OTHER_LENGTH), OTHER_LENGTH)
            bodies = [part(rows, own) for own in call.merged.places]
            if counting is None:
                return [tell(job, body, []) for job, body in zip(jobs, bodies, strict=True)]
            if slot.upstream is not first:
                counting.start()
            return await self._with_tokens(jobs, bodies, tell, counting, computed.tokens)
        finally:
            if counting is not None:
                counting.cancel()

    async def _compute(self, effort: Effort, call: Call, slot: Slot) -> Computed:
        """Call, in pieces where the upstream takes no more in one call, and cut the rows of a good answer.

        The limit may be lower than when the inputs were put together, and lower than when the upstream was last asked.
        """
        merged, inputs_max, refusal = call.merged, call.inputs, None
        if merged is None or call.inputs <= slot.upstream.limits.inputs_max:
            verdict, answered = await self._attempts.make(call, slot, effort)
            if verdict is Verdict.CUT and merged is not None:
                return _computed(call, slot, answered)
            if merged is None or call.inputs == 1 or answered.answer.status not in INPUT_ERRORS:
                return Computed(verdict, answered)
            await slot.upstream.prober.ask_limits()
            refusal = answered.answer
            slot.upstream.heed(refusal, call.inputs, call.tokens, asyncio.get_running_loop().time())
            if call.inputs <= slot.upstream.limits.inputs_max:
                if verdict is Verdict.SPLIT or slot.upstream.dialect.says_limits:
                    return Computed(verdict, answered)
                inputs_max = _half(call.inputs)
        return await self._compute_pieces(effort, call, slot, inputs_max, refusal)

    async def _compute_pieces(
        self, effort: Effort, call: Call, slot: Slot, inputs_max: int, refusal: Answer | None
    ) -> Computed:
        """Make a call in several, one after the other; the first that has no rows speaks for all.

        Where the upstream has limits that it does not name, a piece that it refuses is made in halves, down to a single input.

        Args:
            effort: What each piece is worth.
            call: The call.
            slot: The permission for it.
            inputs_max: The most inputs of a piece.
            refusal: The error to the whole call; None: it was not made.
        """
        found: Computed | None = None
        least = inputs_max
        while found is None or len(found.rows) < call.inputs:
            start = 0 if found is None else len(found.rows)
            piece = piece_of(call, start, min(least, slot.upstream.limits.inputs_max))
            verdict, answered = await self._attempts.make(piece, slot, effort)
            if verdict is not Verdict.CUT:
                is_refused = answered.answer.status in INPUT_ERRORS and not slot.upstream.dialect.says_limits
                if piece.inputs > 1 and is_refused:
                    least, refusal = _half(piece.inputs), answered.answer
                    continue
                return Computed(verdict, answered)
            if found is not None and found.answered.model != answered.model:
                found = None  # the model changed: rows of two are no answer
                continue
            made = _computed(piece, slot, answered)
            found = made if found is None else found.and_then(made)
        if refusal is not None:
            tokens = call.tokens * least // call.inputs
            slot.upstream.learn_from_parts(refusal, least, tokens, asyncio.get_running_loop().time())
        whole = replace(found.answered.answer, measures=shared(found.answered.answer.measures))
        return msgspec.structs.replace(found, answered=msgspec.structs.replace(found.answered, answer=whole))

    async def _split(
        self, effort: Effort, call: Call, slot: Slot, answered: SignedAnswer, early: Early | None
    ) -> list[JobOutcome]:
        """Ask for the call's jobs in parts; jobs of the same inputs stay together.

        Raises:
            UpstreamUnavailable: The upstream fails at so much that parts would only be more calls to it.
        """
        status = answered.answer.status
        is_fault_of_inputs = status in INPUT_ERRORS
        if not is_fault_of_inputs:
            if not await self._retries.may_split(slot):
                raise UpstreamUnavailable(f"The upstream answered {status}")
            self._retries.failed(slot, f"status {status}", "split", call.jobs)
        self._metrics.splits.inc()
        attempts_max = effort.attempts_max if is_fault_of_inputs else 1
        of_parts = Effort(attempts_max, is_trial=effort.is_trial, is_part=not is_fault_of_inputs)
        answer_part = partial(self.answer_with, of_parts, early=early)
        found = await in_parts(call.jobs, slot, answer_part, early, is_trial=effort.is_trial)
        if is_fault_of_inputs and not any(each.is_failure for each in found):
            now_s = asyncio.get_running_loop().time()
            slot.upstream.learn_from_parts(answered.answer, _half(call.inputs), call.tokens // 2, now_s)
        return found

    async def _with_tokens(
        self, jobs: Sequence[Job], bodies: Sequence[bytes], tell: Tell, counting: Counting, counted: int | None
    ) -> list[JobOutcome]:
        """Give each job its part and its tokens; a count that failed fails only the jobs that asked for it."""
        try:
            tokens = await counting.tokens(counted)
        except AutobatchError as error:
            log.warning("count_failed", extra={"error": str(error), **named(jobs)})
            return [
                unanswered(job, error, self._clock.now_ms()) if job.header.is_counted else tell(job, body, [])
                for job, body in zip(jobs, bodies, strict=True)
            ]
        return [tell(*each) for each in zip(jobs, bodies, tokens, strict=True)]

    def _begin_to_count(self, call: Call, slot: Slot, attempts_max: int) -> Counting | None:
        """Count the tokens of the call's inputs for those who asked, if any did."""
        if call.merged is None or not any(job.header.is_counted for job in call.jobs):
            return None

        async def count(texts: Sequence[bytes]) -> list[int]:
            upstream = slot.upstream
            ask = partial(upstream.ask, timeout_s=self._attempts.time_s(call.jobs))
            return await count_tokens(ask, upstream.dialect, texts, upstream.limits.input_tokens_max, attempts_max)

        dialect = slot.upstream.dialect
        counts_texts = dialect.ask_counts(()) is not None
        return Counting(call.jobs, call.merged, count if counts_texts else None, dialect.counts_known)


def _note_inputs(verdict: Verdict, call: Call, slot: Slot) -> None:
    """Note how often a job fails by itself: the more do, the fewer are put into one call."""
    if verdict is Verdict.CUT:
        slot.upstream.note_answered(len(call.bodies))
    elif verdict is Verdict.PASS_ON:
        slot.upstream.note_failed_alone()


def _teller(call: Call, answered: SignedAnswer, now_ms: int) -> Tell:
    """Return what makes the outcome of one job of a call: its answer, its tokens, and how long it took to get it.

    Args:
        call: The call that was answered.
        answered: Its answer.
        now_ms: When the answer was in, on Redis's clock.
    """
    answer = answered.answer
    content_type = answer.content_type if call.merged is None or answer.status != 200 else JSON
    # No other request was in the call, and no text of it was computed for two.
    is_own = len(call.bodies) == 1 and call.inputs == call.jobs[0].header.n
    measures = answer.measures if is_own else shared(answer.measures)
    answered_inputs = sum([job.header.n for job in call.jobs])  # equal ones count each, though they are sent once

    def tell(job: Job, body: bytes, tokens: list[int]) -> JobOutcome:
        header = job.header
        reply = ReplyHeader(
            id=header.id,
            status=answer.status,
            content_type=content_type,
            queue_us=max(0, (now_ms - header.at) * 1000 - job.called_us),
            upstream_us=job.called_us,
            batch=answered_inputs,
            upstream=answered.upstream,
            tokens=tokens,
            measures=measures,
            model=answered.model,
        )
        return JobOutcome(header.id, encode(reply, body), is_failure=answer.status != 200)

    return tell


def _refusal(answer: Answer) -> str:
    return f"status {answer.status}, the account has no quota left" if answer.is_final else f"status {answer.status}"


def _computed(call: Call, slot: Slot, answered: SignedAnswer) -> Computed:
    """A good answer, and its tokens where they are asked for."""
    is_counted = any(job.header.is_counted for job in call.jobs)
    counted = slot.upstream.dialect.counted(answered.answer) if is_counted else None
    return Computed(Verdict.CUT, answered, answered.answer.rows, counted)


def _differ(jobs: Sequence[Job]) -> bool:
    return any(job.body != jobs[0].body for job in jobs)


def _half(inputs: int) -> int:
    return (inputs + 1) // 2


def _fits(call: Call, slot: Slot, rows: Sequence[bytes]) -> bool:
    """Whether rows are as long as those of the model of the upstream that computed them."""
    header = call.jobs[0].header
    if header.route != "/embed" or (header.options is not None and header.options.dimensions is not None):
        return True
    return slot.upstream.dimension in (None, components(rows))
