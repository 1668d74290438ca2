"""When requests arrive in an open loop, and which connection takes them. Pure: the clock is told, not read.

Latency begins when a request was meant to start. One that finds no free connection waits, and that wait counts; a
stall of the server is thus seen by everybody who would have come meanwhile, and not only by those it had already let in.
"""

import random
from collections import deque
from collections.abc import Iterator

LATE_S = 0.005  # the load tool's own lateness that is worth a word; its timer has 1 ms


def poisson(per_second: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield intended starts, in seconds from the beginning, until `seconds`."""
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    at = draw.expovariate(per_second)
    while at < seconds:
        yield at
        at += draw.expovariate(per_second)


class Arrivals:
    """Intended starts on their way to connections.

    Attributes:
        late: How many were looked at more than `LATE_S` after their intended start: the load tool was too slow.
        waiting: Intended starts of requests that have no connection yet, oldest first.
    """

    def __init__(self, starts_s: Iterator[float]) -> None:
        self._starts_s = starts_s
        self._next_s = next(starts_s, None)
        self.late = 0
        self.waiting: deque[float] = deque()

    @property
    def next_s(self) -> float | None:
        """The next intended start; None when all have come."""
        return self._next_s

    def let_in(self, now_s: float) -> None:
        """Let everything wait whose start has come."""
        while self._next_s is not None and self._next_s <= now_s:
            self.late += now_s - self._next_s > LATE_S
            self.waiting.append(self._next_s)
            self._next_s = next(self._starts_s, None)

    def take(self) -> float | None:
        """Give the oldest waiting start to a connection; None if nobody waits."""
        return self.waiting.popleft() if self.waiting else None
