"""The policy `adaptive`: jobs wait for companions where that pays, and leave at once where it would only be a wait. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from autobatch_batcher.forming.lanes import Batch, Lanes, Reason, why_whole
from autobatch_batcher.forming.pace import Pace
from autobatch_batcher.forming.policy import CallMoment, ClaimMoment, Wanted
from autobatch_batcher.forming.shaping import are_alike
from autobatch_batcher.jobs import Job
from autobatch_batcher.upstreams.limits import Limits

PART_MIN_S = 0.001  # computed in a call, beside what it costs whatever it carries: less is not worth a call of its own
WINDOW_BATCHES = 8  # held under backlog, to choose jobs of like length from; more would be hoarding


class AdaptivePolicy:
    """Sends at once what an idle upstream could compute, and lets the rest of a burst come where bursts are usual.

    Args:
        wait_max_ms: The longest wait for companions, in milliseconds from a job's arrival.
    """

    has_target = False

    def __init__(self, wait_max_ms: int) -> None:
        self._wait_max_ms = wait_max_ms
        self._wait_max_s = wait_max_ms / 1000
        self._pace = Pace()

    def wanted(self, now: ClaimMoment, lanes: Lanes) -> Wanted:
        """Return what is missing of the window, and how long a wait would fill a batch."""
        inputs = _inputs_wanted(now, lanes)
        linger_s = self._linger_s(now, lanes.inputs) if inputs > 0 else 0.0
        return Wanted(inputs, now.limits.inputs_max, linger_s)

    def take(self, now: CallMoment, lanes: Lanes) -> Batch | None:
        """Take a batch of the lane that has the oldest job of those that are ready and for which there is room."""
        # Else the call would be less than half of itself.
        is_for_more = now.ask_again_s > 0 and lanes.inputs <= self._pace.missing()
        for lane in lanes.by_age():
            if lane[0].header.n > now.room_inputs:
                continue
            limits = _in_passes(now, lane)
            reason = why_whole(lane, limits, now.shape) or self._reason(now, lane, is_for_more=is_for_more)
            if reason is not None:
                return lanes.take(lane, reason, _shared(now, limits, lanes), now.shape)
        return None

    def hopeless(self, now: CallMoment, lanes: Lanes) -> Sequence[str]:  # noqa: ARG002 - of a protocol
        """Return nothing: a job that is late is better than none, up to its deadline."""
        return ()

    def due_ms(self, lanes: Lanes) -> int | None:
        """Return when the wait of the oldest job will be over."""
        oldest_ms = lanes.oldest_ms()
        return None if oldest_ms is None else oldest_ms + self._wait_max_ms

    def note_claim(self, inputs: int, now_s: float) -> None:
        """Learn how fast inputs come in, and whether companions came after a batch that left alone."""
        self._pace.note(inputs, now_s)
        if inputs:
            self._pace.arrived(now_s)

    def note_sent(self, batch: Batch, now_s: float) -> None:
        """Learn that a batch left without waiting for companions."""
        if batch.reason is Reason.IDLE:
            self._pace.left_alone(now_s)

    def note_idle(self) -> None:
        """Learn that no companion came during the call."""
        self._pace.ended()

    def note_ended(self, inputs: int, ask_again_until_s: float) -> None:
        """Learn whether clients ask again as soon as they are answered."""
        self._pace.answered(inputs, ask_again_until_s)

    def note_answered(self, jobs: Sequence[Job], now_ms: int) -> None:
        """Learn nothing: there is no target."""

    def _linger_s(self, now: ClaimMoment, held: int) -> float:
        """How long to let the queue fill: for the rest of a burst after silence, for a whole batch under a storm."""
        if held == now.queued == now.calls_in_flight == 0:
            # What waited for a slot has waited already.
            return 0.0 if now.was_blocked else self._pace.burst_linger_s(now.call_fixed_s, self._wait_max_s)
        return self._batch_linger_s(now, held)

    def _batch_linger_s(self, now: ClaimMoment, held: int) -> float:
        return self._pace.linger_s(now.limits.inputs_max - held - now.queued, self._wait_max_s)

    def _reason(self, now: CallMoment, lane: list[Job], *, is_for_more: bool) -> Reason | None:
        """Why a lane's batch leaves now though more could join it, if it does; `is_for_more`: an idle upstream waits for that."""
        if now.is_draining:
            return Reason.DRAIN
        if is_for_more:
            return None
        if now.is_idle:
            return Reason.IDLE
        if lane[0].since_ms + self._wait_max_ms <= now.now_ms and now.busy_ms <= 0:
            return Reason.DUE
        return None


def _in_passes(now: CallMoment, lane: list[Job]) -> Limits:
    """Return the limits of a call of this lane to an upstream that cuts calls into passes, and has no more than one ahead.

    Then whole passes are a whole call, and one of all that waits would leave nothing to compute while its answers are on their way: so
    two calls share that. Where lengths differ, more to choose from is worth more.
    """
    limits = now.limits
    inputs = sum([job.header.n for job in lane])
    is_cut = limits.pass_inputs_max < limits.inputs_max and not limits.are_calls_counted
    if not is_cut or now.calls_max == 1 or now.ahead_inputs > limits.pass_inputs_max or inputs < limits.pass_inputs_max:
        return limits
    if not are_alike(lane):
        return limits
    passes = inputs // limits.pass_inputs_max // (1 if now.ahead_inputs else 2)
    return replace(limits, inputs_max=min(limits.pass_inputs_max * max(passes, 1), limits.inputs_max))


def _shared(now: CallMoment, limits: Limits, lanes: Lanes) -> Limits:
    """Return the limits of a call that leaves as much to the other idle places as it takes: one call of all would keep them idle."""
    cost = now.cost
    if now.idle_places <= 1 or limits.are_calls_counted:
        return limits
    useful, longest = sum([job.units for job in lanes]), max([job.longest for job in lanes])
    carried_s = cost.seconds(cost.law.units(lanes.inputs * longest, useful, lanes.inputs)) - cost.flat_s
    calls = min(now.idle_places, int(carried_s / PART_MIN_S))
    part = ceil(lanes.inputs / max(calls, 1))
    return replace(limits, inputs_max=part) if part < limits.inputs_max else limits


def _inputs_wanted(now: ClaimMoment, lanes: Lanes) -> int:
    """How many inputs to claim: for the free slots, or, once these cannot take it all, a window to choose from.

    While slots are free here, other batchers may have free slots too, and could send what would only be held here.
    """
    if now.is_draining or not now.may_have_jobs:
        return 0
    held = lanes.inputs
    slots_free = max(now.slots_free, 1)  # the one of a trial is not counted
    is_backlog = now.queued > 0 or (slots_free == 1 and now.calls_in_flight > 0)
    window = now.limits.inputs_max * (WINDOW_BATCHES if is_backlog else slots_free)
    if held >= window / 2 and lanes.has_whole(now.limits, now.shape):
        return 0  # there is choice enough
    return max(window - held, 0)
