"""Make a call, as often as that helps: what is tried again, where, and when not.

1. What the upstream cannot take now waits, and costs no attempt: no connection, 429.
2. An outage of one upstream while another one is well costs no attempt: the call goes there, or waits for room there.
3. Whatever else fails for all is tried again `attempts_max` times, within the upstream's budget for that, after a random pause.
4. A call that was cut is never simply tried again: the upstream may have died of it.

More than 250 lines, because what one attempt says decides on the next: they are one story.
"""

import asyncio
from collections.abc import Sequence
from random import random

import msgspec

from autobatch_batcher.calling.budget import KEPT_FOR_HALVES, Budget, retry_budget
from autobatch_batcher.calling.calls import Call
from autobatch_batcher.calling.failure_log import FailureLog
from autobatch_batcher.calling.hedging import Hedging
from autobatch_batcher.dialects.base import Answer, Dialect
from autobatch_batcher.dialects.verdict import (
    OUTAGES,
    PERHAPS_INPUT_ERRORS,
    Verdict,
    asked_pause_s,
    fault,
    is_refusal,
    retry_pause_s,
)
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_batcher.upstreams.tuning import Sample
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import (
    AutobatchError,
    DeadlineExceeded,
    UpstreamBroken,
    UpstreamChanged,
    UpstreamUnavailable,
)
from autobatch_shared.redis.clock import RedisClock

UNPAID_PAUSE_S = 0.5  # between two calls for the same jobs, once the budget for retries is spent


class TimedAnswer(msgspec.Struct, frozen=True):
    """An answer, when its call began and ended on the loop's clock, and the fingerprint of the model that computed it."""

    answer: Answer
    started_s: float
    ended_s: float
    model: str = ""


class Failed(msgspec.Struct, frozen=True):
    """An attempt that failed, and may be followed by another one.

    Attributes:
        cause: What went wrong: see `UpstreamError.cause`.
        retry_after: What the upstream said of the next one.
        outage: What its jobs are told in the end, if it met an outage while another upstream is well; else None.
    """

    cause: str
    retry_after: str | None
    outage: AutobatchError | None


class NotNow(Exception):
    """The upstream says that it cannot take the call now.

    Attributes:
        error: What the jobs are told if their deadline comes first.
    """

    def __init__(self, error: AutobatchError, cause: str) -> None:
        super().__init__(cause)
        self.error = error


class Attempts:
    """Makes the calls to all upstreams.

    Args:
        pool: All upstreams, of which another may take a retry.
        dialect: The API that all upstreams of the pool speak.
        clock: Redis's clock, by which deadlines are checked.
        metrics: Counts calls and retries.
        timeout_max_s: The most seconds that one call may take.
    """

    def __init__(
        self, pool: Pool, dialect: Dialect, clock: RedisClock, metrics: Metrics, *, timeout_max_s: float
    ) -> None:
        self.failures = FailureLog()
        self._pool = pool
        self._dialect = dialect
        self._clock = clock
        self._metrics = metrics
        self._timeout_max_s = timeout_max_s
        self._hedging = Hedging(pool, metrics) if len(pool.upstreams) > 1 else None
        self._budgets: dict[str, Budget] = {}

    async def make(
        self, call: Call, slot: Slot, attempts_max: int, *, is_trial: bool, is_part: bool
    ) -> tuple[Verdict, TimedAnswer]:
        """Call, up to `attempts_max` times, until there is an answer to act on.

        Args:
            call: The call.
            slot: The permission for it, which moves when another upstream is called.
            attempts_max: The most attempts, the first included.
            is_trial: Whether its jobs are tried alone, because the upstream may have died of them.
            is_part: Whether it is a half of a call that failed: it earns no retries, and is paid for.

        Raises:
            UpstreamBroken: It was well and hung up, if only once: so it may have died of this call.
            NotNow: It takes no call now.
            UpstreamError: All attempts failed.
            DeadlineExceeded: The deadline of every job has passed.
        """
        if not is_part:
            self._budget(slot).usual_calls += 1
        attempt = failures = 0
        while True:
            made = await self._attempt(call, slot, may_retry=attempt + 1 < attempts_max, is_trial=is_trial)
            if not isinstance(made, Failed):
                if is_part and made[1].answer.status == 200:
                    # Its input was not to blame, nor is the upstream: it has paid for the other half, too.
                    self._budget(slot).give_back(2)
                return made
            await self._go_on(made, call, slot, failures)
            failures += 1
            attempt += made.outage is None

    async def _attempt(
        self, call: Call, slot: Slot, *, may_retry: bool, is_trial: bool
    ) -> tuple[Verdict, TimedAnswer] | Failed:
        """Call once; what is raised is what `make` raises."""
        was_well = slot.upstream.is_healthy
        try:
            answered = await self._post(call, slot, may_hedge=not is_trial)
        except UpstreamChanged as error:
            raise NotNow(error, "model changed") from error
        except UpstreamUnavailable as error:
            is_broken = isinstance(error, UpstreamBroken)
            if is_broken and (was_well or is_trial):
                raise
            told = unavailable(error.cause)
            if not is_broken and self._pool.has_other_than(slot.upstream):
                return Failed(error.cause, None, told)
            if not (may_retry and self._may_go_on(slot, call)):
                raise told from error
            return Failed(error.cause, None, None)
        answer = answered.answer
        is_only_here = answer.status in OUTAGES and self._pool.has_other_than(slot.upstream)
        failed = Failed(f"status {answer.status}", answer.retry_after, fault(answer.status) if is_only_here else None)
        verdict = await self._judge(answer, call, slot, failed, may_retry=may_retry)
        return failed if verdict is Verdict.RETRY else (verdict, answered)

    async def _go_on(self, failed: Failed, call: Call, slot: Slot, failures: int) -> None:
        """Pause, and move to another upstream if there is one with room.

        Raises:
            NotNow: Another one is well, and has no room.
        """
        pause_s = retry_pause_s(failures, failed.retry_after)
        # Batchers that fail together must not come back together.
        await pause(pause_s if failed.retry_after is not None else random() * pause_s)  # noqa: S311 - no secret
        other = self._pool.other_than(slot, call.inputs)
        if failed.outage is not None and other is slot.upstream:
            raise NotNow(failed.outage, failed.cause)
        self._metrics.retries.inc()
        self.failed(slot, failed.cause, "retried", len(call.jobs))
        slot.move_to(other)

    def may_split(self, slot: Slot) -> bool:
        """Whether a call that failed for all may be made again in two halves, and take note of that."""
        return self._budget(slot).take(2, asyncio.get_running_loop().time())

    def failed(self, slot: Slot, cause: str, then: str, jobs: int) -> None:
        """Log a failed call; the arguments are those of `FailureLog.failed`."""
        self.failures.failed(slot.upstream.name, cause, then, jobs, asyncio.get_running_loop().time())

    def time_s(self, jobs: Sequence[Job]) -> float:
        """The longest that a call for these jobs may take.

        Raises:
            DeadlineExceeded: The deadline of every job has passed.
        """
        left_s = (max([job.header.deadline for job in jobs]) - self._clock.now_ms()) / 1000
        if left_s <= 0:
            raise DeadlineExceeded
        return min(left_s, self._timeout_max_s)

    async def _judge(self, answer: Answer, call: Call, slot: Slot, failed: Failed, *, may_retry: bool) -> Verdict:
        """Return what to do with an answer: anything but to give up.

        Args:
            answer: The answer.
            call: What was asked.
            slot: The permission for it.
            failed: What the answer is, if it is to be asked again.
            may_retry: Whether the call has an attempt left.

        Raises:
            NotNow: It takes no call now.
            UpstreamError: It is to be given up.
        """
        if answer.status != 200 and is_refusal(answer.status, answer.retry_after):
            raise NotNow(fault(answer.status), f"status {answer.status}")
        judge, is_verbatim, jobs = self._dialect.judge, call.merged is None, len(call.bodies)
        verdict = judge(answer, jobs, is_verbatim=is_verbatim, may_retry=may_retry or failed.outage is not None)
        if verdict is Verdict.RETRY:
            leaving = KEPT_FOR_HALVES if answer.status in PERHAPS_INPUT_ERRORS else 0
            if not self._budget(slot).take(1, asyncio.get_running_loop().time(), leaving=leaving):
                if failed.outage is not None:
                    await pause(UNPAID_PAUSE_S)
                    raise NotNow(failed.outage, failed.cause)
                verdict = judge(answer, jobs, is_verbatim=is_verbatim, may_retry=False)
        if verdict is Verdict.GIVE_UP:
            raise fault(answer.status)
        return verdict

    def _may_go_on(self, slot: Slot, call: Call) -> bool:
        """Whether a call that reached nothing is tried again now: on another upstream, or where waiting is over."""
        if self._pool.other_than(slot, call.inputs) is not slot.upstream:
            return True
        now_s = asyncio.get_running_loop().time()
        return not self._pool.may_wait(now_s) and self._budget(slot).take(1, now_s)

    def _budget(self, slot: Slot) -> Budget:
        name = slot.upstream.name
        if name not in self._budgets:
            self._budgets[name] = retry_budget()
        return self._budgets[name]

    async def _post(self, call: Call, slot: Slot, *, may_hedge: bool) -> TimedAnswer:
        """One attempt, for no longer than the most patient of the clients."""
        self._keep_to_the_model(slot, call)
        timeout_s = self.time_s(call.jobs)
        upstream = slot.upstream
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        code = 0
        try:
            answer = await self._answer(call, slot, timeout_s, may_hedge=may_hedge)
            code = answer.status
            if answer.was_sent_again:
                self._metrics.sent_again.inc()
        finally:
            ended_s = loop.time()
            self._metrics.upstream_calls.labels(code).inc()
            self._metrics.upstream_seconds.observe(ended_s - started_s)
            upstream.tuner.note(
                _sample(call, slot, started_s, ended_s, is_good=code == 200 and slot.upstream is upstream)
            )
        if code == 200:
            if upstream.congestion.is_felt:
                upstream.congestion.answered(call.inputs)
            if self.failures.is_telling:
                self.failures.answered(upstream.name)
        elif is_refusal(code, answer.retry_after):
            upstream.congestion.refused(started_s, ended_s, upstream.load.inputs, asked_pause_s(answer.retry_after))
        return TimedAnswer(answer, started_s, ended_s, slot.upstream.standing.fingerprint)  # a hedge may have moved it

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
            error = UpstreamUnavailable(f"No upstream serves the model: {slot.upstream.standing.reason}")
            error.cause = "excluded"
            if self._pool.has_other_than(slot.upstream) or self._pool.may_wait(asyncio.get_running_loop().time()):
                raise NotNow(error, error.cause)
            raise error

    async def _answer(self, call: Call, slot: Slot, timeout_s: float, *, may_hedge: bool) -> Answer:
        upstream = slot.upstream
        late_s = self._late_after_s(upstream, call)
        if late_s is None:
            return await upstream.call(call.post, timeout_s)
        if self._hedging is not None and may_hedge:
            return await self._hedging.call(call, slot, timeout_s, late_s)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(late_s, lambda: upstream.breaker.late(loop.time()))
        try:
            return await upstream.call(call.post, timeout_s)
        finally:
            timer.cancel()

    def _late_after_s(self, upstream: Replica, call: Call) -> float | None:
        """Seconds after which a call is late, as other calls to this upstream show, or else those to another: they are alike."""
        sizes = _sizes(call)
        late_s = upstream.tuner.late_after_s(*sizes)
        if late_s is None and self._hedging is not None:
            known = [other.tuner.late_after_s(*sizes) for other in self._pool.upstreams]
            late_s = max([each_s for each_s in known if each_s is not None], default=None)
        return late_s


def unavailable(cause: str) -> UpstreamUnavailable:
    """Return the error for jobs whose upstream could not be reached."""
    error = UpstreamUnavailable()
    error.cause = cause
    return error


def _sample(call: Call, slot: Slot, started_s: float, ended_s: float, *, is_good: bool) -> Sample:
    """Return what to tell the tuner of a call: of a call that failed or whose inputs are unknown, only when it ran."""
    padded, useful = _sizes(call) if is_good else (0, 0)
    return Sample(slot.setting, padded, useful, started_s, ended_s, slot.was_busy)


def _sizes(call: Call) -> tuple[int, int]:
    """The call's inputs times the longest of them, and the sum of their lengths; 0 where lengths are unknown."""
    if call.merged is None:
        return 0, 0
    padded = call.inputs * max([job.longest for job in call.jobs])
    return padded, min(padded, sum({job.body: job.units for job in call.jobs}.values()))
