"""Numbers by whole seconds, of which the last ones are kept. Pure; times are passed in."""

from autobatch_shared.watching.activity import KEPT_S


class PerSecond:
    """What was counted, by whole seconds of Redis's clock: at most KEPT_S of them."""

    def __init__(self) -> None:
        self._values: dict[int, float] = {}

    def add(self, count: float, from_ms: int, to_ms: int) -> None:
        """Spread what was counted between two looks over the seconds between them, by their shares.

        Looks are not quite a second apart: without this a second would have two of them now and then, and another one none.
        """
        span_ms = to_ms - from_ms
        for second, part_ms in _parts(from_ms, to_ms):
            share = part_ms / span_ms if span_ms > 0 else 1.0
            self._values[second] = self._values.get(second, 0.0) + count * share
        self._forget(to_ms // 1000)

    def note(self, value: float, from_ms: int, to_ms: int) -> None:
        """Take note of what was seen at `to_ms`, for the time since the last look: the most in each second stays."""
        for second, _ in _parts(from_ms, to_ms):
            self._values[second] = max(self._values.get(second, 0.0), value)
        self._forget(to_ms // 1000)

    def before(self, until_s: int) -> list[int]:
        """Return the values of the KEPT_S seconds before this one, the oldest first; 0 where nothing was counted."""
        return [round(self._values.get(second, 0.0)) for second in range(until_s - KEPT_S, until_s)]

    def _forget(self, now_s: int) -> None:
        self._values = {second: value for second, value in self._values.items() if now_s - KEPT_S <= second <= now_s}


def _parts(from_ms: int, to_ms: int) -> list[tuple[int, int]]:
    """Return the seconds between two times, each with its milliseconds; after a step of the clock, only the last."""
    if not 0 < to_ms - from_ms <= KEPT_S * 1000:
        return [(to_ms // 1000, 0)]
    return [
        (second, min(to_ms, (second + 1) * 1000) - max(from_ms, second * 1000))
        for second in range(from_ms // 1000, (to_ms - 1) // 1000 + 1)
    ]
