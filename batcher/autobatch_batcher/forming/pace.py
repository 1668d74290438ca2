"""How fast inputs come in, and whether it pays to let a batch fill before it is claimed. Pure; the clock is passed in.

Two cases. Under a storm a batcher that claims at once sends many small batches, and is itself what every request waits
for: a claim, a call and a reply cost this process and Redis about 0.3 ms whatever they carry. And after silence the first
job of a burst would leave alone, the rest behind it; so where bursts are usual, the first waits for as long as the call
would cost that it saves. A client that asks alone waits for nothing once that was seen a few times.

And a third: clients that ask again as soon as they are answered. While their call was computed others waited, and would leave now,
a moment before those come back: the two groups would take turns for ever, in calls of half the size.
"""

from math import ceil, exp, inf

MEMORY_S = 0.02  # long enough to see a storm, short enough to forget it at once
LINGER_MAX_S = 0.002  # several times what a batch costs; a request at a quiet time must not feel it
LEARNING = 0.3  # weight of the last batch that left because nothing was in flight
BURST_MIN = 0.5
BACK_MIN = 0.5  # of the inputs that were answered
ALL_BACK = 0.9  # of those that are expected: for the last of many the others do not wait


class Pace:
    """The rate at which inputs are claimed, over the last moments, and whether arrivals come in bursts."""

    def __init__(self) -> None:
        self._per_second = 0.0
        self._noted_s = -inf
        self._burst_share = 1.0  # until it is known better
        self._lone_since_s: float | None = None
        self._back_share = 0.0  # of what is answered, that comes back at once
        self._answered = self._back = 0
        self._back_until_s = -inf

    def note(self, inputs: int, now_s: float) -> None:
        """Take note of a claim."""
        if now_s <= self._back_until_s:
            self._back += inputs
        passed_s = max(now_s - self._noted_s, 1e-6)
        self._noted_s = now_s
        self._per_second += (inputs / passed_s - self._per_second) * (1 - exp(-passed_s / MEMORY_S))

    def left_alone(self, now_s: float) -> None:
        """Take note of a batch that left because nothing was in flight: companions may come too late for it."""
        self._lone_since_s = now_s

    def arrived(self, now_s: float) -> None:
        """Take note of jobs that were claimed while that batch was on its way."""
        if self._lone_since_s is not None:
            self._learn(came=now_s - self._lone_since_s <= 2 * LINGER_MAX_S)

    def ended(self) -> None:
        """Take note that its call has ended: what comes now may be the same client's next request."""
        if self._lone_since_s is not None:
            self._learn(came=False)

    def answered(self, inputs: int, back_until_s: float) -> None:
        """Take note of a call that has ended, and until when its clients' next requests count as such."""
        if self._answered:
            self._back_share += LEARNING * (min(1.0, self._back / self._answered) - self._back_share)
        self._answered, self._back, self._back_until_s = inputs, 0, back_until_s

    def missing(self) -> int:
        """Return how many inputs of those that were answered last will come back in a moment; 0 when that does not pay."""
        if self._back_share < BACK_MIN:
            return 0
        return max(0, ceil(ALL_BACK * self._back_share * self._answered) - self._back)

    def linger_s(self, missing: int, wait_max_s: float) -> float:
        """Return how long to wait so that `missing` inputs come, or 0 when that takes too long to pay."""
        if missing <= 0 or self._per_second <= 0:
            return 0.0
        fill_s = missing / self._per_second
        return fill_s if fill_s <= min(LINGER_MAX_S, wait_max_s) else 0.0

    def burst_linger_s(self, call_s: float, wait_max_s: float) -> float:
        """Return how long the first job after silence waits, where a call costs `call_s` whatever it carries."""
        return min(call_s, LINGER_MAX_S, wait_max_s) if self._burst_share >= BURST_MIN else 0.0

    def _learn(self, *, came: bool) -> None:
        self._lone_since_s = None
        self._burst_share += LEARNING * (came - self._burst_share)
