"""Make a call, and make it again as long as that helps: one attempt after the other, each for as long as it may take."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from autobatch_batcher.calling.calls import Call
from autobatch_batcher.calling.hedging import Hedging
from autobatch_batcher.calling.lingering import LingeringCall
from autobatch_batcher.calling.retries import EXCLUDED, Failed, NotNow, Retries
from autobatch_batcher.dialects.base import Answer
from autobatch_batcher.dialects.verdict import OVERLOADED, Verdict, asked_pause_s, is_refusal
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.pacing import Pacing
from autobatch_batcher.tuning.padding import are_mixed
from autobatch_batcher.tuning.tuner import Sample
from autobatch_batcher.upstreams.congestion import ASKED_MAX_S, PAUSE_MAX_S
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.errors import (
    DeadlineExceeded,
    InvalidAnswer,
    UpstreamBroken,
    UpstreamChanged,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from autobatch_shared.redis.clock import RedisClock

log = logging.getLogger(__name__)

NO_SIZES = 0, 0, 0  # of a call that failed: only when it ran is learnt


class Effort(msgspec.Struct, frozen=True):
    """How often a call may be made, and for whom.

    Attributes:
        attempts_max: The most attempts, the first included.
        is_trial: Whether its jobs are tried alone, because the upstream may have died of them.
        is_part: Whether it is a half of a call that failed: it earns no retries, and is paid for.
        hang_ups: How often an upstream that lives on has hung up on its jobs before.
    """

    attempts_max: int
    is_trial: bool = False
    is_part: bool = False
    hang_ups: int = 0


class SignedAnswer(msgspec.Struct, frozen=True):
    """An answer, and of whom it is.

    Attributes:
        model: The fingerprint of the model that computed it.
        upstream: The URL of the upstream that was called, which may be shown.
    """

    answer: Answer
    model: str = ""
    upstream: str = ""


class Attempts:
    """Makes the calls to all upstreams.

    Attributes:
        timeout_max_s: The most seconds that one call may take.

    Args:
        pool: All upstreams.
        clock: Redis's clock, by which deadlines are checked.
        metrics: Counts calls.
        retries: Says what becomes of those that fail.
        timeout_max_s: The most seconds that one call may take.
    """

    def __init__(
        self,
        pool: Pool,
        clock: RedisClock,
        metrics: Metrics,
        retries: Retries,
        *,
        timeout_max_s: float,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._retries = retries
        self.timeout_max_s = timeout_max_s
        self._hedging = Hedging(pool, metrics) if len(pool.upstreams) > 1 else None

    async def make(self, call: Call, slot: Slot, effort: Effort) -> tuple[Verdict, SignedAnswer]:
        """Call, as often as the effort allows, until there is an answer to act on.

        Args:
            call: The call.
            slot: The permission for it, which moves when another upstream is called.
            effort: What it is worth.

        Raises:
            UpstreamBroken: It was well and hung up, if only once: so it may have died of this call.
            NotNow: It takes no call now.
            InvalidAnswer: The answer has not the rows that were asked for, nor has that of another upstream.
            CallStuck: One of its inputs may keep the others.
            UpstreamError: All attempts failed.
            DeadlineExceeded: The deadline of every job has passed.
        """
        budgets = self._retries.budgets
        if not effort.is_part:
            budgets[slot.upstream.name].usual_calls += 1
        attempt = failures = 0
        failed_at: set[str] = set()
        moved_from: list[Replica] = []
        while True:
            # Of a call in halves only the last ones: the whole has been at another upstream before it was split.
            may_move = failed_at <= {slot.upstream.name} and (not effort.is_part or len(call.bodies) == 1)
            made = await self._attempt(call, slot, effort, attempt, may_move=may_move)
            if not isinstance(made, Failed):
                if made[1].answer.status == 200:
                    for upstream in moved_from:
                        upstream.blame_no_input()
                    if effort.is_part:
                        # Its input was not to blame, nor is the upstream: it has paid for the other half, too.
                        budgets[slot.upstream.name].give_back(2)
                return made
            failed_at.add(slot.upstream.name)
            if made.must_move:
                moved_from.append(slot.upstream)
            await self._retries.go_on(made, call, slot, failures)
            failures += 1
            attempt += made.outage is None

    async def _attempt(
        self, call: Call, slot: Slot, effort: Effort, attempt: int, *, may_move: bool
    ) -> tuple[Verdict, SignedAnswer] | Failed:
        """Call once; what is raised is what `make` raises."""
        was_well, may_retry = slot.upstream.is_healthy, attempt + 1 < effort.attempts_max
        try:
            answered = await self._post(call, slot, may_hedge=not effort.is_trial)
        except UpstreamChanged as error:
            raise NotNow(error, error.cause) from error
        except UpstreamUnavailable as error:
            if isinstance(error, UpstreamBroken) and (was_well or effort.is_trial or error.lives):
                raise
            return self._retries.after_outage(error, call, slot, may_retry=may_retry)
        except InvalidAnswer as error:
            failed = self._retries.after_invalid(error, slot, may_move=may_move)
            if failed is None:
                raise
            return failed
        answer = answered.answer
        if answer.status == 200:
            is_verbatim = call.merged is None
            dialect = slot.upstream.dialect
            return dialect.judge(answer, len(call.bodies), is_verbatim=is_verbatim, may_retry=False), answered
        judged = await self._retries.after_answer(
            answer,
            call,
            slot,
            has_failed=attempt > 0,
            may_retry=may_retry,
            may_move=may_move,
            is_part=effort.is_part,
        )
        return judged if isinstance(judged, Failed) else (judged, answered)

    def time_s(self, jobs: Sequence[Job]) -> float:
        """The longest that a call for these jobs may take.

        Raises:
            DeadlineExceeded: The deadline of every job has passed.
        """
        left_s = (max([job.header.deadline for job in jobs]) - self._clock.now_ms()) / 1000
        if left_s <= 0:
            raise DeadlineExceeded
        return min(left_s, self.timeout_max_s)

    async def _post(self, call: Call, slot: Slot, *, may_hedge: bool) -> SignedAnswer:
        """One attempt, for no longer than the most patient of the clients."""
        self._keep_to_the_model(slot, call)
        timeout_s = self.time_s(call.jobs)
        upstream = slot.upstream
        loop = asyncio.get_running_loop()
        started_s, in_flight = loop.time(), upstream.load.inputs
        code, sizes, learnt = 0, _sizes(call), NO_SIZES
        try:
            answer = await self._answer(call, slot, timeout_s, self._late_after_s(upstream, sizes), may_hedge=may_hedge)
            code = answer.status
            if code == 200 and slot.upstream is upstream and not upstream.load.beside:
                learnt = sizes
            if answer.was_sent_again:
                self._metrics.sent_again.inc()
        except InvalidAnswer:
            code = 200
            raise
        except UpstreamTimeout:
            upstream.tuner.note_vain(*sizes, loop.time(), timeout_s)
            raise
        finally:
            ended_s = loop.time()
            self._metrics.note_call(slot.upstream.name, code, ended_s - started_s)
            _note_time(call, slot, ended_s - started_s)
            made = slot.was_busy, slot.waited_s
            padded, useful, inputs = learnt
            times = started_s, ended_s
            sample = Sample(slot.setting, padded, useful, *times, *made, slot.calls, _is_mixed(call), inputs)
            _learn(upstream, sample)
        if slot.upstream.pacing is not None:
            _note_paced(slot.upstream, slot.upstream.pacing, answer, call, started_s, ended_s)
        if code == 200:
            slot.upstream.served_s = max(slot.upstream.served_s, started_s)
            if upstream.congestion.is_felt:
                upstream.congestion.answered(call.inputs, in_flight, ended_s)
            if self._retries.failures.is_telling:
                self._retries.failures.answered(upstream.name)
        elif is_refusal(code, answer.retry_after, is_final=answer.is_final):
            _note_refusal(upstream, answer, call, in_flight, started_s, ended_s)
        answering = slot.upstream  # a hedge may have moved it
        return SignedAnswer(answer, answering.standing.fingerprint, answering.name)

    def _keep_to_the_model(self, slot: Slot, call: Call) -> None:
        """Move to an upstream that serves the namespace's model, if the slot's does not.

        Raises:
            NotNow: None does, or none with room, but one may soon.
            UpstreamUnavailable: None does.
        """
        if slot.upstream.is_included:
            return
        slot.move_to(self._pool.other_than(slot, call.inputs))
        if not slot.upstream.is_included:
            if self._pool.has_other_than(slot.upstream) or self._pool.may_wait(asyncio.get_running_loop().time()):
                raise NotNow(_excluded(slot.upstream), EXCLUDED)
            raise _excluded(slot.upstream)

    async def _answer(
        self, call: Call, slot: Slot, timeout_s: float, late_s: float | None, *, may_hedge: bool
    ) -> Answer:
        upstream = slot.upstream
        if late_s is None:
            return await upstream.call(call.post(upstream.dialect), timeout_s, call.asked)
        if self._hedging is not None and may_hedge:
            return await self._hedging.call(call, slot, timeout_s, late_s)
        return await LingeringCall(call, slot, late_s).answer(timeout_s)

    def _late_after_s(self, upstream: Replica, sizes: tuple[int, int, int]) -> float | None:
        """Seconds after which a call is late, as other calls to this upstream show, or else those to another: they are alike."""
        late_s = upstream.tuner.late_after_s(*sizes)
        if late_s is None and self._hedging is not None:
            known = [other.tuner.late_after_s(*sizes) for other in self._pool.upstreams]
            late_s = max([each_s for each_s in known if each_s is not None], default=None)
        return late_s


def _excluded(upstream: Replica) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"No upstream serves the model: {upstream.reason}").because(EXCLUDED)


def _note_time(call: Call, slot: Slot, took_s: float) -> None:
    """Add what a call took to the time that its jobs, and their batch, were at an upstream."""
    slot.called_s += took_s
    took_us, inputs = int(took_s * 1e6), sum([job.header.n for job in call.jobs])
    for job in call.jobs:
        job.called_us += took_us
        job.call_inputs = inputs


def _note_paced(
    upstream: Replica, pacing: Pacing, answer: Answer, call: Call, started_s: float, ended_s: float
) -> None:
    """Tell what an answer says of the upstream's budget."""
    pacing.told(answer.left, call.charged_tokens, started_s, ended_s)
    if answer.status == 200:
        pacing.counted(upstream.dialect.counted(answer), call.charged_tokens, call.inputs, call.size_bytes)
    elif answer.status == OVERLOADED and not answer.is_final:
        pacing.refused(answer.left, call.charged_tokens, started_s)


def _learn(upstream: Replica, sample: Sample) -> None:
    """Let the tuner learn from a call; a fault in that loses no answer."""
    try:
        upstream.tuner.note(sample)
    except Exception:
        log.exception("learning_failed", extra={"upstream": upstream.name})


def _note_refusal(
    upstream: Replica, answer: Answer, call: Call, in_flight_inputs: int, started_s: float, ended_s: float
) -> None:
    """Tell what an upstream takes that it has refused a call; see `Congestion.refused`."""
    asked_s, congestion = asked_pause_s(answer.retry_after), upstream.congestion
    if asked_s is None and upstream.pacing is not None:
        asked_s = PAUSE_MAX_S  # its minute is spent, or less of it is left than was configured
    if answer.status == OVERLOADED and answer.left and asked_s is not None:  # however little is in flight
        congestion.wait(ended_s + min(asked_s, ASKED_MAX_S))
    else:
        congestion.refused(started_s, ended_s, in_flight_inputs, asked_s, call.inputs)


def _sizes(call: Call) -> tuple[int, int, int]:
    """The call's inputs times the longest of them, the sum of their lengths, and their number; 0 where lengths are unknown."""
    if call.merged is None:
        return 0, 0, 0
    headers = {job.body: job.header for job in call.jobs}.values()
    padded = call.inputs * max([header.longest for header in headers])
    return padded, min(padded, sum([header.n * header.longest for header in headers])), call.inputs


def _is_mixed(call: Call) -> bool:
    """Whether its inputs differ in length beyond chance."""
    headers = [job.header for job in call.jobs]
    inputs, longest = sum([header.n for header in headers]), max([header.longest for header in headers])
    useful, squares = (sum([header.n * header.longest**power for header in headers]) for power in (1, 2))
    return are_mixed(inputs, longest, useful, squares)
