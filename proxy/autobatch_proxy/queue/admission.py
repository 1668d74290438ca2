"""Decide whether a request can be answered before its deadline, before any work is done for it. Pure; time is passed in.

1. The last push reports how many inputs wait; the batchers report how many they answer in a second, which they measure
   while there is a backlog. Without such a measurement, which they confirm by another, no request is refused.
2. Between two pushes the queue is assumed to shrink at that rate. A worker that refuses a request looks again soon:
   other workers push, too, and jobs whose clients disconnected disappear at once.
"""

import math

from autobatch_shared.contract.capacity import BULK_SHARE
from autobatch_shared.contract.status import Ahead

RETRY_AFTER_MIN_S, RETRY_AFTER_MAX_S = 1, 60
# Of a request's time this is kept for its own call, and for what a prediction is worth: for half a second to come, an upstream
# may do half of what was measured, while the batcher tries another setting. A queue that is shorter keeps it as busy.
SPARE_SHARE, SPARE_S, SPARE_SHARE_MAX = 0.2, 0.75, 0.5
SPARE_MAX_S = 45.0  # a burst of ten times what a paid upstream takes in a minute needs nine of the ten that a request may have at most
LOOK_EVERY_S = 0.1


class Backlog:
    """What one worker knows of what waits."""

    def __init__(self) -> None:
        self._ahead = Ahead()
        self._at_s = 0.0

    def is_old(self, now_s: float) -> bool:
        """Whether it is time to look again before more are refused."""
        return now_s - self._at_s > LOOK_EVERY_S

    def note(self, ahead: Ahead, now_s: float) -> None:
        """Take note of what a push found; `now_s` is on a monotonic clock."""
        self._ahead = ahead
        self._at_s = now_s

    def wait_s(self, drained_per_s: float, now_s: float, *, is_bulk: bool, affordable_inputs: int = 0) -> float:
        """Return how many seconds a request that came now would wait; 0 where it is unknown.

        Args:
            drained_per_s: Inputs that all batchers answer in a second of backlog; 0 while it is unknown.
            now_s: The time now, on the clock of `note`.
            is_bulk: Whether it would wait behind all others.
            affordable_inputs: Inputs that are sent at once, where upstreams are asked so much in a minute.
        """
        if drained_per_s <= 0:
            return 0.0
        ahead = self._ahead
        if is_bulk:
            inputs, per_s = ahead.usual + ahead.bulk, drained_per_s
        else:
            inputs, per_s = ahead.usual, drained_per_s * (1 - BULK_SHARE if ahead.bulk else 1)
        return max(0.0, (inputs + ahead.claimed - affordable_inputs) / per_s - (now_s - self._at_s))


def rate_of_looks(before_per_s: float, now_per_s: float) -> float:
    """Return the rate by which to refuse, from two looks in a row: the larger one, and none while it is unknown now."""
    return max(before_per_s, now_per_s) if now_per_s > 0 else 0.0


def is_in_time(wait_s: float, timeout_s: float) -> bool:
    """Whether a request that waits so long can be answered in its time."""
    return wait_s <= longest_wait_s(timeout_s)


def longest_wait_s(timeout_s: float) -> float:
    """Return the longest that a request with so much time may wait."""
    return timeout_s - min(max(timeout_s * SPARE_SHARE, min(SPARE_S, timeout_s * SPARE_SHARE_MAX)), SPARE_MAX_S)


def retry_after_s(wait_s: float) -> int:
    """Return when to come back, in whole seconds: when what waits now will have been answered."""
    return min(max(math.ceil(wait_s), RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
