"""For how long a part has been in its state, as the process knows that watches it. Pure; times are passed in."""


class StateAge:
    """Of one part."""

    def __init__(self) -> None:
        self._state = ""
        self._began_ms = 0

    def ms(self, state: str, now_ms: int) -> int:
        """Take note of its state; return for how many milliseconds it has been this one, 1 at least: 0 is not known."""
        if state != self._state:
            self._state, self._began_ms = state, now_ms
        return max(1, now_ms - self._began_ms)
