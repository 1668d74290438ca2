"""Take an upstream out that only fails, and try it again with single calls. Pure; the clock is passed in."""

FAILURES_MAX = 5  # in a row: one bad input fails its three tries and is not yet an outage
PAUSE_MIN_S, PAUSE_MAX_S = 1.0, 30.0


class Breaker:
    """Closed while calls succeed; open for a growing pause after `FAILURES_MAX` failures in a row; then one trial.

    Attributes:
        is_closed: Whether the upstream is used as usual.
        is_quiet: Whether it is closed and the last call did not fail: then another success changes nothing.
    """

    def __init__(self) -> None:
        self.is_closed = True
        self.is_quiet = True
        self._failures = 0
        self._pause_s = PAUSE_MIN_S
        self._pause_ends_s = 0.0
        self._is_trying = False

    def may_try(self, now_s: float) -> bool:
        """Whether it is out, its pause is over, and no trial runs."""
        return not self.is_closed and now_s >= self._pause_ends_s and not self._is_trying

    def called(self) -> None:
        """A call begins; of one that is out it is the trial."""
        self._is_trying = not self.is_closed

    def succeeded(self) -> None:
        """A call was answered."""
        self.is_closed = self.is_quiet = True
        self._failures = 0
        self._pause_s = PAUSE_MIN_S
        self._is_trying = False

    def learnt_nothing(self) -> None:
        """A call ended in a way that says nothing of the upstream."""
        self._is_trying = False

    def failed(self, now_s: float) -> None:
        """A call failed by an outage."""
        self.is_quiet = False
        self._failures += 1
        was_trial, self._is_trying = self._is_trying, False
        if was_trial:
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
        if was_trial or (self.is_closed and self._failures >= FAILURES_MAX):
            self.is_closed = False
            self._pause_ends_s = now_s + self._pause_s
