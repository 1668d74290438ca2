"""How fast inputs come in, and whether it pays to let a batch fill before it is claimed. Pure; the clock is passed in.

A claim, a call and a reply cost this process and Redis about 0.3 ms whatever they carry. Under a storm of requests a
batcher that claims at once sends many small batches, and is itself what everybody waits for.
"""

from math import exp, inf

MEMORY_S = 0.02  # long enough to see a storm, short enough to forget it at once
LINGER_MAX_S = 0.002  # some times what a batch costs; a request at a quiet time must not feel it


class Pace:
    """The rate at which inputs are claimed, over the last moments."""

    def __init__(self) -> None:
        self._per_second = 0.0
        self._noted_s = -inf

    def note(self, inputs: int, now_s: float) -> None:
        """Take note of a claim."""
        passed_s = max(now_s - self._noted_s, 1e-6)
        self._noted_s = now_s
        self._per_second += (inputs / passed_s - self._per_second) * (1 - exp(-passed_s / MEMORY_S))

    def linger_s(self, missing: int, wait_max_s: float) -> float:
        """Return how long to wait so that `missing` inputs come, or 0 when that takes too long to pay."""
        if missing <= 0 or self._per_second <= 0:
            return 0.0
        fill_s = missing / self._per_second
        return fill_s if fill_s <= min(LINGER_MAX_S, wait_max_s) else 0.0
