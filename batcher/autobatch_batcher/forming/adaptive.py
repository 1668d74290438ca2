"""The policy `adaptive`: as `full`, but no job waits for companions where its wait cannot pay. Pure."""

from autobatch_batcher.forming.full import FullPolicy
from autobatch_batcher.forming.lanes import Batch, Reason
from autobatch_batcher.forming.policy import CallMoment, ClaimMoment
from autobatch_batcher.jobs import Job


class AdaptivePolicy(FullPolicy):
    """Sends at once what an idle upstream could compute, and lets the rest of a burst come where bursts are usual.

    Args:
        wait_max_ms: The longest wait for companions, from a job's arrival.
    """

    def note_claim(self, inputs: int, now_s: float) -> None:
        """Learn how fast inputs come in, and whether companions came after a batch that left alone."""
        super().note_claim(inputs, now_s)
        if inputs:
            self._pace.arrived(now_s)

    def note_sent(self, batch: Batch, now_s: float) -> None:
        """Learn that a batch left without waiting for companions."""
        if batch.reason is Reason.IDLE:
            self._pace.left_alone(now_s)

    def note_idle(self) -> None:
        """Learn that no companion came during the call."""
        self._pace.ended()

    def _linger_s(self, now: ClaimMoment, held: int) -> float:
        """After silence, how long until the rest of a burst waits; what waited for a slot has waited already."""
        if held == now.queued == now.calls_in_flight == 0:
            return 0.0 if now.was_blocked else self._pace.burst_linger_s(now.call_fixed_s, self._wait_max_s)
        return super()._linger_s(now, held)

    def _reason(self, now: CallMoment, lane: list[Job]) -> Reason | None:
        reason = super()._reason(now, lane)
        return Reason.IDLE if now.is_idle and reason in (None, Reason.DUE) else reason
