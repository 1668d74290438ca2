"""The ways in which servers count what a key uses in a minute, and what each says of it in its headers.

The clock is passed in, and the minute may be shorter than sixty seconds.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

Clock = Callable[[], float]
UNIX_S = 1_790_000_000.0  # what unix time is ahead of virtual time


class MinuteCount:
    """What is left of one limit, in whichever way it is counted.

    Args:
        limit: In a minute.
        minute_s: Seconds of a minute.
        clock: Returns the time in seconds.
    """

    def __init__(self, limit: float, minute_s: float = 60.0, clock: Clock = time.monotonic) -> None:
        self.limit = limit
        self.minute_s = minute_s
        self.now_s = clock

    def left(self) -> float:
        """Return what may be used now."""
        raise NotImplementedError

    def use(self, amount: float) -> None:
        """Take so much off."""
        raise NotImplementedError

    def missing_s(self, amount: float) -> float:
        """Return the seconds until there is so much."""
        raise NotImplementedError

    def reset_s(self) -> float:
        """Return the seconds until the reset that its headers name."""
        raise NotImplementedError

    def reset_text(self) -> str:
        """Return these as its headers have them."""
        return f"{self.reset_s():.3f}".rstrip("0").rstrip(".")

    def allows(self, amount: float) -> bool:
        """Whether so much may be used now."""
        return self.left() >= amount - 1e-9


class Bucket(MinuteCount):
    """Holds a minute's worth, or what `burst_s` seconds bring, and fills evenly; its headers are OpenAI's: `6m0s`, `20ms`."""

    def __init__(
        self, limit: float, minute_s: float = 60.0, clock: Clock = time.monotonic, *, burst_s: float | None = None
    ) -> None:
        super().__init__(limit, minute_s, clock)
        self._burst_s = minute_s if burst_s is None else burst_s
        self._left, self._at_s = self._most, clock()

    @property
    def _most(self) -> float:
        return self.limit * self._burst_s / self.minute_s

    def left(self) -> float:
        now_s = self.now_s()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self.limit / self.minute_s)
        self._at_s = now_s
        return self._left

    def use(self, amount: float) -> None:
        self._left = self.left() - amount

    def missing_s(self, amount: float) -> float:
        return max(0.0, amount - self.left()) * self.minute_s / self.limit

    def reset_s(self) -> float:
        return self.missing_s(self._most)

    def reset_text(self) -> str:
        return go_duration(self.reset_s())


class SlidingMinute(MinuteCount):
    """Remembers what was used in the last minute; its headers say in seconds when the oldest of that is forgotten, as gateways do."""

    def __init__(self, limit: float, minute_s: float = 60.0, clock: Clock = time.monotonic) -> None:
        super().__init__(limit, minute_s, clock)
        self._used: deque[tuple[float, float]] = deque()
        self._total = 0.0

    def left(self) -> float:
        while self._used and self._used[0][0] <= self.now_s() - self.minute_s:
            self._total -= self._used.popleft()[1]
        return self.limit - self._total

    def use(self, amount: float) -> None:
        self._used.append((self.now_s(), amount))
        self._total += amount

    def missing_s(self, amount: float) -> float:
        left = self.left()
        for at_s, used in self._used:
            if left >= amount - 1e-9:
                break
            left += used
            missing_s = at_s + self.minute_s - self.now_s()
        return 0.0 if self.allows(amount) else missing_s

    def reset_s(self) -> float:
        self.left()
        return self._used[0][0] + self.minute_s - self.now_s() if self._used else 0.0


class FixedMinute(MinuteCount):
    """Begins to count anew at the end of each minute; its headers say as epoch when that is.

    Args:
        limit: In a minute.
        minute_s: Seconds of a minute.
        clock: Returns the time in seconds.
        begun_s: Seconds for which its first minute has gone on already.
        unix_s: What unix time is ahead of the clock.
    """

    def __init__(
        self,
        limit: float,
        minute_s: float = 60.0,
        clock: Clock = time.monotonic,
        *,
        begun_s: float = 0.0,
        unix_s: float = UNIX_S,
    ) -> None:
        super().__init__(limit, minute_s, clock)
        self._unix_s = unix_s
        self._ends_s = clock() + minute_s - begun_s
        self._used = 0.0

    def left(self) -> float:
        while self.now_s() >= self._ends_s:
            self._ends_s += self.minute_s
            self._used = 0.0
        return self.limit - self._used

    def use(self, amount: float) -> None:
        self._used += amount

    def missing_s(self, amount: float) -> float:
        return 0.0 if self.allows(amount) else self.reset_s()

    def reset_s(self) -> float:
        self.left()
        return self._ends_s - self.now_s()

    def reset_text(self) -> str:
        return f"{self._unix_s + self.now_s() + self.reset_s():.3f}"


def go_duration(seconds: float) -> str:
    """Return a time as Go prints it, and OpenAI's headers with it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest_s = divmod(round(seconds, 3), 60)
    return f"{minutes:.0f}m{rest_s:g}s" if minutes else f"{rest_s:g}s"


def headers_of(counts: Mapping[str, MinuteCount]) -> dict[str, str]:
    """Return the headers that say what is left of each limit, by its kind."""
    said = {}
    for kind, count in counts.items():
        said[f"x-ratelimit-limit-{kind}"] = f"{count.limit:.0f}"
        said[f"x-ratelimit-remaining-{kind}"] = str(int(max(count.left(), 0)))
        said[f"x-ratelimit-reset-{kind}"] = count.reset_text()
    return said


def best_s(
    limits: Sequence[MinuteCount], calls: Iterable[Sequence[float]], set_clock: Callable[[float], None]
) -> float:
    """Return the seconds that a client needs that knows each limit exactly and makes each call as soon as it is taken.

    Args:
        limits: All limits.
        calls: What each call uses of each limit.
        set_clock: Sets the clock of the limits, which shows 0.
    """
    now_s = 0.0
    for amounts in calls:
        while wait_s := max(limit.missing_s(amount) for limit, amount in zip(limits, amounts, strict=True)):
            now_s += wait_s + 1e-6
            set_clock(now_s)
        for limit, amount in zip(limits, amounts, strict=True):
            limit.use(amount)
    return now_s
