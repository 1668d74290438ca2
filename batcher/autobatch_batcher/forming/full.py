"""The policy `full`: as `adaptive`, but an idle upstream is no reason to send a batch that could be fuller. Pure."""

from msgspec.structs import replace

from autobatch_batcher.forming.adaptive import AdaptivePolicy
from autobatch_batcher.forming.lanes import Batch, Lanes
from autobatch_batcher.forming.policy import CallMoment, ClaimMoment


class FullPolicy(AdaptivePolicy):
    """Sends what is full, and what has waited as long as it may.

    Args:
        wait_max_ms: The longest wait for companions, in milliseconds from a job's arrival.
    """

    def take(self, now: CallMoment, lanes: Lanes) -> Batch | None:
        """Take a batch of the lane that has the oldest job of those that are ready."""
        return super().take(replace(now, is_idle=False, idle_places=1), lanes)

    def _linger_s(self, now: ClaimMoment, held: int) -> float:
        """How long to let the queue fill: for a whole batch under a storm. The rest of a burst is waited for anyway."""
        return self._batch_linger_s(now, held)
