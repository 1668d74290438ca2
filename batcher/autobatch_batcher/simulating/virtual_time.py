"""An event loop whose time passes only while nothing can run: an hour of waiting takes none."""

import asyncio
import selectors

STARTS_AT_S = 1000.0  # a clock that shows 0 would hide what is compared with 0
STEPS_MAX = 100_000  # of the loop while no time passes: a run has some hundreds


class _Leap(selectors.SelectSelector):
    """In place of waiting for sockets: the loop waits for the next timer, and time leaps there."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = STARTS_AT_S
        self._steps = 0  # since time passed last

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let `timeout` seconds pass at once.

        Raises:
            RuntimeError: Nothing will ever happen, or too much happens at once.
        """
        if timeout is None:
            raise RuntimeError("everything waits, and for no time")
        self._steps = 0 if timeout > 0 else self._steps + 1
        if self._steps > STEPS_MAX:
            self._steps = 0
            raise RuntimeError("something turns without waiting")
        self.now_s += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs coroutines in virtual time. It has no sockets, threads or signals."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._leap.now_s
