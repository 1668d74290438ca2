"""What becomes of a call that failed: what is tried again, where, and when not.

1. What the upstream cannot take now waits, and costs no attempt: no connection, 429. What it goes on to refuse while it takes others
   is the fault of an input: OpenAI answers so to one that is larger than all that it takes in a minute. Where nobody else was answered
   meanwhile, it may still be what the upstream says to all.
2. An outage of one upstream while another one is well costs no attempt: the call goes there, or waits for room there.
3. What one upstream answers with 424 or 500 is tried at another one that is well, with room there or without, before it is split and
   before a client hears of it: 500 is an outage as often as a bad input, and only another upstream can say which. So is what one
   refuses because of how it is called: it may have lost its model, ask for another key, or have an account without money. And so is
   what one answers without an error and without the rows that were asked for. And so is an outage of an upstream that answers a text of
   ours meanwhile: it is away for one of the inputs only.
4. Whatever else fails for all is tried again within the upstream's budget for that, after a random pause.
5. A call that was cut is never simply tried again: the upstream may have died of it.

More than 250 lines, because each kind of failure is told from the others here.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import random

import msgspec

from autobatch_batcher.calling.budget import KEPT_FOR_HALVES, Budget, retry_budget
from autobatch_batcher.calling.calls import Call
from autobatch_batcher.calling.failure_log import FailureLog
from autobatch_batcher.dialects.base import Answer
from autobatch_batcher.dialects.verdict import (
    OURS,
    OUTAGES,
    OVERLOADED_SERVER,
    PERHAPS_INPUT_ERRORS,
    UNAUTHORIZED,
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
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import AutobatchError, InvalidAnswer, UpstreamBroken, UpstreamUnavailable

EXCLUDED = "excluded"  # why an upstream is not called that can be reached
SHEDDING = {503, OVERLOADED_SERVER}  # said of all clients, too, by one that still takes a small text now and then
REFUSALS_MAX = 4  # of a job with 429, before the upstream is asked whether it refuses others, too
UNPAID_PAUSE_S = 0.5  # between two calls for the same jobs, once the budget for retries is spent


class Failed(msgspec.Struct, frozen=True):
    """An attempt that failed, and may be followed by another one.

    Attributes:
        cause: What went wrong: see `UpstreamError.cause`.
        retry_after: What the upstream said of the next one.
        outage: What its jobs are told in the end, if it met an outage while another upstream is well; else None.
        must_move: Whether it goes to another upstream, though that may have no room.
    """

    cause: str
    retry_after: str | None
    outage: AutobatchError | None
    must_move: bool = False


class NotNow(Exception):
    """The upstream says that it cannot take the call now.

    Attributes:
        error: What the jobs are told if their deadline comes first.
    """

    def __init__(self, error: AutobatchError, cause: str) -> None:
        super().__init__(cause)
        self.error = error


class Retries:
    """Says what becomes of failed calls, and keeps account of them.

    Attributes:
        budgets: What may be tried again at each upstream, by its name; every usual call is noted there.
        failures: The log of failed calls.

    Args:
        pool: All upstreams, of which another may take a retry.
        metrics: Counts retries.
    """

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self.budgets: defaultdict[str, Budget] = defaultdict(retry_budget)
        self.failures = FailureLog()
        self._pool = pool
        self._metrics = metrics

    def after_outage(self, error: UpstreamUnavailable, call: Call, slot: Slot, *, may_retry: bool) -> Failed:
        """Return what a call is that got no answer, if it is to be made again.

        Args:
            error: Why it got none.
            call: What was asked.
            slot: The permission for it.
            may_retry: Whether the call has an attempt left.

        Raises:
            UpstreamUnavailable: It is to be given up.
        """
        if not isinstance(error, UpstreamBroken) and self._pool.has_other_than(slot.upstream):
            return Failed(error.cause, None, _told(error))
        if not (may_retry and self._may_go_on(slot, call)):
            raise _told(error) from error
        return Failed(error.cause, None, None)

    def after_invalid(self, error: InvalidAnswer, slot: Slot, *, may_move: bool) -> Failed | None:
        """Return that a call with such an answer goes to another upstream; None: it has failed at another one, or none is well.

        Args:
            error: What is wrong with the answer.
            slot: The permission for the call.
            may_move: Whether it has failed at this upstream only.
        """
        if not (may_move and self._pool.has_other_than(slot.upstream)):
            return None
        self._take(slot, 1)  # it is a retry like any other; another upstream gets it all the same
        return Failed(error.cause, None, None, must_move=True)

    async def after_answer(
        self,
        answer: Answer,
        call: Call,
        slot: Slot,
        *,
        has_failed: bool,
        may_retry: bool,
        may_move: bool,
        is_part: bool,
    ) -> Verdict | Failed:
        """Return what to do with an answer of another status than 200: anything but to give up.

        Args:
            answer: What the upstream said.
            call: What was asked.
            slot: The permission for it.
            has_failed: Whether it has failed before.
            may_retry: Whether the call has an attempt left.
            may_move: Whether it has one left that another upstream gets: it has failed at this one only.
            is_part: Whether it is a part of one that was made before.

        Raises:
            NotNow: The upstream takes no call now.
            UpstreamError: The call is to be given up.
        """
        status = answer.status
        if is_refusal(status, answer.retry_after, is_final=answer.is_final):
            if not await self._is_refused_for_itself(answer, call, slot, is_part=is_part):
                raise NotNow(fault(status), f"status {status}")
            return Verdict.SPLIT if len(call.bodies) > 1 else Verdict.PASS_ON
        if status in OUTAGES:
            return await self._after_outage_said(
                answer, call, slot, has_failed=has_failed, may_retry=may_retry, may_move=may_move
            )
        has_other = self._pool.has_other_than(slot.upstream)
        judge, is_verbatim, jobs = slot.upstream.dialect.judge, call.merged is None, len(call.bodies)
        refusals = UNAUTHORIZED if is_verbatim else OURS  # what a client wrote may be refused for what it is
        is_told = judge(answer, jobs, is_verbatim=is_verbatim, may_retry=False) is Verdict.TELL
        is_refused_here = has_other and may_move and (is_told or status in refusals)
        must_move = is_refused_here or (has_other and may_move and status in PERHAPS_INPUT_ERRORS)
        failed = Failed(f"status {status}", answer.retry_after, None, must_move)
        if is_refused_here:
            return failed
        verdict = judge(answer, jobs, is_verbatim=is_verbatim, may_retry=may_retry or must_move)
        if verdict is Verdict.RETRY:
            leaving = KEPT_FOR_HALVES if status in PERHAPS_INPUT_ERRORS else 0
            if self._take(slot, 1, leaving=leaving) or must_move:
                return failed
            verdict = judge(answer, jobs, is_verbatim=is_verbatim, may_retry=False)
        if verdict is Verdict.GIVE_UP:
            raise fault(status)
        return verdict

    async def _is_refused_for_itself(self, answer: Answer, call: Call, slot: Slot, *, is_part: bool) -> bool:
        """Whether the upstream takes other calls, and has refused this one's inputs again and again with nothing else of ours in flight.

        Of a call that was refused so and is made again in parts each part is asked about at once.
        """
        upstream = slot.upstream
        is_for_what_it_does = upstream.load.calls + upstream.load.beside > 1 and not is_part
        is_for_a_time = asked_pause_s(answer.retry_after) is not None or upstream.pacing is not None
        if is_for_what_it_does or is_for_a_time:
            return False
        is_often = set_back(call.jobs) > REFUSALS_MAX or is_part
        serves_others = note_failing(call.jobs, upstream)
        if not is_often or not await upstream.answers_ours():
            return False
        upstream.congestion.forget()
        is_shown = serves_others or len(call.bodies) > 1
        if not is_shown:  # the next call has others, too, if there are any
            await pause(UNPAID_PAUSE_S)
        return is_shown

    async def _after_outage_said(
        self, answer: Answer, call: Call, slot: Slot, *, has_failed: bool, may_retry: bool, may_move: bool
    ) -> Verdict | Failed:
        """Return what `after_answer` does, of an answer that says of the upstream that it is away.

        It may be away for one of the inputs only: what stands before it ended the call, or died of it. So where going on as if it
        were away does not help, it is asked with a text of ours, and if it answers the call is made again in parts.
        """
        status, jobs, has_other = answer.status, len(call.bodies), self._pool.has_other_than(slot.upstream)
        again = Failed(f"status {status}", answer.retry_after, None)
        serves_others = note_failing(call.jobs, slot.upstream)
        elsewhere = msgspec.structs.replace(again, outage=fault(status))
        if not has_other and may_retry and (jobs == 1 or not has_failed) and self._take(slot, 1):
            return again
        may_go = has_other and may_move
        has_room = may_go and self._pool.other_than(slot, call.inputs) is not slot.upstream
        if not has_room and await slot.upstream.answers_ours():
            if may_go:
                self._take(slot, 1)
                return msgspec.structs.replace(elsewhere, must_move=True)
            if jobs > 1:
                return Verdict.SPLIT
            if not serves_others and status in SHEDDING and self._may_wait(call):
                await pause(UNPAID_PAUSE_S)
                raise NotNow(fault(status), elsewhere.cause)
            slot.upstream.note_failed_alone()
            raise fault(status)
        if has_other and not self._take(slot, 1):
            await pause(UNPAID_PAUSE_S)
            raise NotNow(fault(status), elsewhere.cause)
        if has_other:
            return elsewhere
        if may_retry and self._take(slot, 1):
            return again
        raise fault(status)

    def _may_wait(self, call: Call) -> bool:
        """Whether jobs have not waited for longer than for an upstream that is away."""
        failing_s = asyncio.get_running_loop().time() - min([job.failing_since_s for job in call.jobs])
        return failing_s < self._pool.patience_s

    async def go_on(self, failed: Failed, call: Call, slot: Slot, failures: int) -> None:
        """Pause, and move to another upstream if there is one with room.

        Raises:
            NotNow: Another one is well, and has no room.
        """
        pause_s = retry_pause_s(failures, failed.retry_after)
        # Batchers that fail together must not come back together.
        await pause(pause_s if failed.retry_after is not None else random() * pause_s)  # noqa: S311 - no secret
        other = self._pool.other_than(slot, call.inputs, though_full=failed.must_move)
        if other is slot.upstream and failed.outage is not None:
            raise NotNow(failed.outage, failed.cause)
        self._metrics.retries.inc()
        self.failed(slot, failed.cause, "retried", call.jobs)
        slot.move_to(other)

    async def may_split(self, slot: Slot) -> bool:
        """Whether a call that failed for all may be made again in parts: they are paid for, or its inputs are to blame."""
        return self._take(slot, 2) or await slot.upstream.answers_ours()

    def failed(self, slot: Slot, cause: str, then: str, jobs: Sequence[Job]) -> None:
        """Log a failed call; the arguments are those of `FailureLog.failed`."""
        self.failures.failed(slot.upstream.name, cause, then, jobs, asyncio.get_running_loop().time())

    def _may_go_on(self, slot: Slot, call: Call) -> bool:
        """Whether a call that reached nothing is tried again now: on another upstream, or where waiting is over."""
        if self._pool.other_than(slot, call.inputs) is not slot.upstream:
            return True
        return not self._pool.may_wait(asyncio.get_running_loop().time()) and self._take(slot, 1)

    def _take(self, slot: Slot, calls: int, *, leaving: int = 0) -> bool:
        """Take so many calls out of the upstream's budget, if they are there."""
        return self.budgets[slot.upstream.name].take(calls, asyncio.get_running_loop().time(), leaving=leaving)


def _told(error: UpstreamUnavailable) -> UpstreamUnavailable:
    """Return what a client may know of it."""
    words = str(error) if error.cause == EXCLUDED else ""  # else they are of our network
    return UpstreamUnavailable(words).because(error.cause)


def note_failing(jobs: Sequence[Job], upstream: Replica) -> bool:
    """Note that a call for these jobs failed; return whether the upstream has served others since the first did."""
    now_s = asyncio.get_running_loop().time()
    for job in jobs:
        job.failing_since_s = min(job.failing_since_s, now_s)
    return upstream.served_s > min([job.failing_since_s for job in jobs])


def set_back(jobs: Sequence[Job]) -> int:
    """Note that jobs have to wait on after their call; return how often one of them had to, at most."""
    for job in jobs:
        job.setbacks += 1
    return max([job.setbacks for job in jobs])
