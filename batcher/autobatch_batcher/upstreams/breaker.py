"""Take an upstream out that only fails, and try it again with single calls. Pure; the clock is passed in."""

FAILURES_MAX = 5  # in a row: one bad input fails its three tries and is not yet an outage
LATE_MAX = 3  # calls in a row, without an answer of any other in between: a hang, whatever the clients' deadlines
PAUSE_MIN_S, PAUSE_MAX_S = 1.0, 30.0
# Where there is no other upstream every request waits for the next trial, and a trial is one job.
ALONE_PAUSE_MIN_S, ALONE_PAUSE_MAX_S = 0.1, 1.0
# Beside others, of one that probes find well again and again while calls to it are cut: trials 2, 4, 4 ... s apart are 3 in 10 s
# where one after each probe was 75, and one that is well is called again within 4 s.
REACHED_PAUSE_MAX_S = 4.0


class Breaker:
    """Closed while calls succeed; open for a growing pause after `FAILURES_MAX` failures in a row; then one trial.

    Attributes:
        is_closed: Whether the upstream is used as usual.
        is_quiet: Whether it is closed and the last call did not fail: then another success changes nothing.
        is_trying: Whether its trial is in flight.
        failing_since_s: When the first of the failures in a row ended; None: the last call did not fail.
    """

    def __init__(self) -> None:
        self.is_closed = True
        self.is_quiet = True
        self.is_trying = False
        self.failing_since_s: float | None = None
        self._failures = 0
        self._trials = 0  # that failed
        self._late = 0
        self._pause_began_s = 0.0
        self._was_reached = False  # since it was taken out

    def may_try(self, now_s: float, *, is_alone: bool = False) -> bool:
        """Whether it is out, its pause is over, and no trial runs.

        Args:
            now_s: The time now, in seconds of any monotonic clock.
            is_alone: Whether no other upstream could take the calls.
        """
        return not self.is_closed and not self.is_trying and now_s >= self.trial_s(is_alone=is_alone)

    def trial_s(self, *, is_alone: bool = False) -> float:
        """When the pause is over."""
        shortest_s, longest_s = (ALONE_PAUSE_MIN_S, ALONE_PAUSE_MAX_S) if is_alone else (PAUSE_MIN_S, PAUSE_MAX_S)
        if self._was_reached:
            longest_s = min(longest_s, REACHED_PAUSE_MAX_S)
        return self._pause_began_s + min(shortest_s * 2.0**self._trials, longest_s)

    @property
    def is_at_its_last(self) -> bool:
        """Whether one more failure takes it out, or is that of its trial."""
        return self.is_trying or (self.is_closed and self._failures + 1 >= FAILURES_MAX)

    def called(self) -> None:
        """A call begins; of one that is out it is the trial."""
        self.is_trying = not self.is_closed

    def succeeded(self) -> None:
        """A call was answered."""
        self.is_closed = self.is_quiet = True
        self.failing_since_s = None
        self._failures = self._trials = self._late = 0
        self.is_trying = self._was_reached = False

    def learnt_nothing(self) -> None:
        """A call ended in a way that says nothing of the upstream."""
        self.is_trying = False

    def reached(self) -> None:
        """It can be reached again: the first trial need not wait; after one that failed a probe says too little for that."""
        self._was_reached = not self.is_closed
        if not self._trials:
            self._pause_began_s = float("-inf")

    def late(self, now_s: float) -> None:
        """A call takes longer than any like it; it may be answered all the same."""
        self.is_quiet = False
        self._late += 1
        if self.is_trying:
            self.failed(now_s)
        elif self.is_closed and self._late >= LATE_MAX:
            self.is_closed = False
            self._pause_began_s = now_s
            if self.failing_since_s is None:
                self.failing_since_s = now_s

    def failed(self, now_s: float) -> None:
        """A call failed by an outage."""
        self.is_quiet = False
        if self.failing_since_s is None:
            self.failing_since_s = now_s
        self._failures += 1
        was_trial, self.is_trying = self.is_trying, False
        if was_trial:
            self._trials += 1
        if was_trial or (self.is_closed and self._failures >= FAILURES_MAX):
            self.is_closed = False
            self._pause_began_s = now_s
