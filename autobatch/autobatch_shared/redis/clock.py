"""Redis's clock, as each process sees it. All times on the wire are unix milliseconds of that one clock."""

import time
from collections.abc import Callable
from typing import Any

from autobatch_shared.redis.commands import Commands, expected_shape


class RedisClock:
    """Monotonic time plus the measured offset to Redis's clock, so that a step of this host's clock changes nothing.

    A reply was written after it was asked for and before it was read: what is known of the offset stays while it lies between
    the two, so that replies which were read late, by a process that was busy, change nothing.

    Args:
        mono_s: Another monotonic clock than that of this host: that of an event loop in virtual time.
    """

    def __init__(self, mono_s: Callable[[], float] | None = None) -> None:
        self._mono_s = mono_s or time.monotonic
        # Until the first sync the host's clock is the best guess.
        self._offset_ms = (time.time() - self._mono_s()) * 1000

    def sync(self, redis_ms: float, asked_s: float | None = None) -> float:
        """Take note of what Redis's clock showed between a question and now.

        Args:
            redis_ms: What it showed, perhaps cut to whole milliseconds.
            asked_s: When it was asked for, by `mono_s`; None: just now.

        Returns:
            By how many milliseconds it is ahead of what was expected, 0 where it may be as expected.
        """
        before_ms, now_s = self._offset_ms, self._mono_s()
        least_ms = redis_ms - now_s * 1000
        if asked_s is None or not least_ms <= before_ms <= redis_ms + 1 - asked_s * 1000:
            self._offset_ms = least_ms
        return self._offset_ms - before_ms

    def now_ms(self) -> int:
        """Unix milliseconds on Redis's clock."""
        return int(self.exact_ms())

    def exact_ms(self) -> float:
        """Unix milliseconds on Redis's clock, with their fraction."""
        return self._mono_s() * 1000 + self._offset_ms

    def mono_s(self) -> float:
        """Seconds of this process's monotonic clock, that of its loop, which no step moves."""
        return self._mono_s()


async def read_clock(link: Commands) -> float:
    """Redis's clock, unix milliseconds."""
    return unix_ms(await link.execute("TIME"))


def unix_ms(reply: Any) -> float:
    """Read the answer to `TIME`, in unix milliseconds.

    Raises:
        QueueUnavailable: It has another shape than the answer to `TIME`.
    """
    with expected_shape:
        seconds, micros = reply
        return int(seconds) * 1000 + int(micros) / 1000
