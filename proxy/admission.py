"""Decide whether a request can be answered in its time, before it costs anybody anything. Pure; the clock is passed in.

1. What waits is known from the last push, what is drained of it in a second from the batchers, who measure it while
   there is a backlog. Without such a measurement nobody is refused.
2. Between two pushes the queue is taken to shrink at that rate: so a worker that refused everybody asks again.
"""

import math

import msgspec

RETRY_AFTER_MIN_S, RETRY_AFTER_MAX_S = 1, 60
USABLE_SHARE = 0.8  # of a request's time: the rest is for its own call, and for what a prediction is worth
BULK_SHARE = 0.25  # of the rate, which bulk work has beside other work: see `batcher.sharing`


class Drain(msgspec.Struct, frozen=True):
    """What the batchers told last.

    Attributes:
        per_s: Inputs answered in a second of backlog, by all of them; 0 while nobody knows.
        held: Inputs that they have claimed and not sent.
    """

    per_s: float = 0.0
    held: int = 0


class Backlog:
    """What one worker knows of what waits."""

    def __init__(self) -> None:
        self._waiting = (0, 0)
        self._at_s = 0.0

    def note(self, waiting: tuple[int, int], now_s: float) -> None:
        """Take note of a push.

        Args:
            waiting: Inputs in the two queues, the bulk one second.
            now_s: Any clock that goes on.
        """
        self._waiting = waiting
        self._at_s = now_s

    def wait_s(self, drain: Drain, now_s: float, *, is_bulk: bool) -> float:
        """Return how long a request that came now would wait; 0 where nobody knows."""
        if drain.per_s <= 0:
            return 0.0
        usual, bulk = self._waiting
        if not (usual or bulk or drain.held):
            return 0.0
        if is_bulk:
            inputs, per_s = usual + bulk, drain.per_s
        else:
            inputs, per_s = usual, drain.per_s * (1 - BULK_SHARE if bulk else 1)
        return max(0.0, (inputs + drain.held) / per_s - (now_s - self._at_s))


def is_in_time(wait_s: float, timeout_s: float) -> bool:
    """Whether a request that waits so long can be answered in its time."""
    return wait_s <= timeout_s * USABLE_SHARE


def retry_after_s(wait_s: float) -> int:
    """Return when to come back, in whole seconds: when what waits now will have been answered."""
    return min(max(math.ceil(wait_s), RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
