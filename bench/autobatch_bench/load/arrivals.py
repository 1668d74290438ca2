"""When requests arrive in an open loop, and which connection takes them. Pure: the caller passes the time.

Latency begins when a request was meant to start. A request that finds no free connection waits, and that wait counts;
so a stall of the server shows in every request that was due meanwhile, not only in those that it had already accepted.
"""

import random
from collections import deque
from collections.abc import Iterator

LATE_S = 0.005  # the load generator's own lateness that is reported; its timer has 1 ms


def poisson(per_second: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield intended starts, in seconds from the beginning, until `seconds`."""
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    at = draw.expovariate(per_second)
    while at < seconds:
        yield at
        at += draw.expovariate(per_second)


class Arrivals:
    """Intended starts that wait for connections.

    Attributes:
        late: How many were handled more than `LATE_S` after their intended start: the load generator was too slow.
        waiting: Intended starts of requests that have no connection yet, oldest first.
    """

    def __init__(self, starts_s: Iterator[float]) -> None:
        self._starts_s = starts_s
        self._next_s = next(starts_s, None)
        self.late = 0
        self.waiting: deque[float] = deque()

    @property
    def next_s(self) -> float | None:
        """The next intended start; None when all have passed."""
        return self._next_s

    def let_in(self, now_s: float) -> None:
        """Move every start that is due to those that wait."""
        while self._next_s is not None and self._next_s <= now_s:
            self.late += now_s - self._next_s > LATE_S
            self.waiting.append(self._next_s)
            self._next_s = next(self._starts_s, None)

    def take(self) -> float | None:
        """Return the oldest waiting start for a connection; None if none is waiting."""
        return self.waiting.popleft() if self.waiting else None
