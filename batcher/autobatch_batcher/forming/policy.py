"""What decides how much is claimed and which batch leaves: the protocol that every policy of BATCH_POLICY keeps. Pure.

The working loop asks and does what the policy answers. A policy reads no clock: a moment is passed in, and the loop tells
it what it learns from. `autobatch_shared.settings.choices` has the table of all policies.
"""

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Protocol

import msgspec

from autobatch_batcher.forming.lanes import Batch, Lanes
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.cost import CallCost
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits
from autobatch_shared.settings.choices import POLICIES, TARGET_POLICY


class ClaimMoment(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which jobs may be claimed: a call could be made.

    Attributes:
        limits: The upstream's limits for the next call.
        shape: How the lengths of the next call's inputs are bounded.
        may_have_jobs: Whether a claim may bring something.
        queued: Jobs that were left in the queue by the last claim.
        slots_free: Calls that could be made now; 0 where the next one is the trial of an upstream.
        calls_in_flight: Calls in flight to all upstreams together.
        call_fixed_s: Seconds that a call costs whatever it carries.
        was_blocked: Whether every slot was taken since the last claim.
        is_draining: Whether this batcher is about to stop.
    """

    limits: Limits
    shape: BatchShape
    may_have_jobs: bool
    queued: int
    slots_free: int
    calls_in_flight: int
    call_fixed_s: float
    was_blocked: bool
    is_draining: bool


class Wanted(msgspec.Struct, frozen=True):
    """How much to claim, and when.

    Attributes:
        inputs: Number of inputs to claim, beside those that are held; 0: nothing is to be claimed.
        call_inputs_max: The most inputs in one call.
        linger_s: Seconds to wait before the claim, while the queue fills.
    """

    inputs: int
    call_inputs_max: int
    linger_s: float


class CallMoment(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which a batch may leave.

    Attributes:
        limits: The upstream's limits for the batch's call.
        shape: How the lengths of the batch's inputs are bounded.
        room_inputs: Inputs for which the upstream has room: a job with more waits, though it be the only one of its batch.
        now_ms: The time now, unix milliseconds of Redis's clock.
        is_idle: Whether a call that is sent now waits for no other one at the upstream, so that waiting for companions would only be a wait.
        busy_ms: Milliseconds for which a call that is sent now would wait at the upstream, behind those in flight; 0 where it
            works on several, or that is not known.
        is_draining: Whether this batcher is about to stop.
        cost: What a call costs.
        is_one_by_one: Whether calls wait for each other at the upstream.
        ahead_s: Seconds that the calls in flight take before the next one, if they do.
        ahead_inputs: Inputs of the calls in flight to the upstream.
        calls_max: The most calls in flight.
        ask_again_s: Seconds for which an idle upstream may wait for the next requests of those whom it has just answered.
        idle_places: Calls that could be sent now, to all upstreams, of which none waits for another one.
    """

    limits: Limits
    shape: BatchShape
    room_inputs: int
    now_ms: int
    is_idle: bool
    busy_ms: float
    is_draining: bool
    cost: CallCost = CallCost()
    is_one_by_one: bool = True
    ahead_s: float = 0.0
    ahead_inputs: int = 0
    calls_max: int = 1
    ask_again_s: float = 0.0
    idle_places: int = 1


class Policy(Protocol):
    """Decides for one batcher. Its class is called with the longest wait for companions, from a job's arrival, in ms.

    Attributes:
        has_target: Whether it refuses what would be answered too late: then waits are as long as it lets them be, and show nothing of
            the upstream.
    """

    has_target: bool

    def wanted(self, now: ClaimMoment, lanes: Lanes) -> Wanted:
        """Return how much to claim now, and after how long a wait."""

    def take(self, now: CallMoment, lanes: Lanes) -> Batch | None:
        """Take the batch that should leave now out of the lanes, if any."""

    def hopeless(self, now: CallMoment, lanes: Lanes) -> Sequence[str]:
        """Return the ids of the jobs that are refused, as no answer would come in time."""

    def due_ms(self, lanes: Lanes) -> int | None:
        """Return when to look again though nothing happened, on Redis's clock; None when nothing is held."""

    def note_claim(self, inputs: int, now_s: float) -> None:
        """Take note of the inputs that a claim brought, bulk work not counted, at a time of a monotonic clock."""

    def note_sent(self, batch: Batch, now_s: float) -> None:
        """Take note of a batch that has left, at a time of the same clock."""

    def note_idle(self) -> None:
        """Take note that no call is in flight."""

    def note_ended(self, inputs: int, ask_again_until_s: float) -> None:
        """Take note that a call with so many inputs has ended, and until when the next requests of its clients are waited for."""

    def note_answered(self, jobs: Sequence[Job], now_ms: int) -> None:
        """Take note of the jobs of a call that have been answered, at a time of Redis's clock."""


def policy_named(name: str, wait_max_ms: int, target_p99_ms: int | None = None) -> Policy:
    """Return a new policy.

    Args:
        name: Its name in the table.
        wait_max_ms: The longest wait for companions, from a job's arrival.
        target_p99_ms: Within how many milliseconds 99 of 100 jobs are to be answered: then it is the policy of that.
    """
    if target_p99_ms is not None:
        targeted: Policy = resolve_name(TARGET_POLICY)(wait_max_ms, target_p99_ms)
        return targeted
    policy: Policy = resolve_name(POLICIES[name].place)(wait_max_ms)
    return policy
