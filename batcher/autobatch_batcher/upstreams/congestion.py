"""How many inputs an upstream that says 429 may have in flight: half at each refusal, a few more with each answer. Pure.

An upstream refuses what others than this batcher send it, too, and no card says how much that is: so its limit is looked for
as TCP looks for its share of a link. Times are passed in.
"""

from math import inf

STEP_INPUTS = 8.0  # more for each answered window: a limit of 64 is found again after a handful of calls
KNOWN_MAX_INPUTS = 10_000.0  # above it nothing was refused for thousands of inputs: there is no limit any more
PAUSE_MIN_S, PAUSE_MAX_S = 0.05, 1.0  # after refusals in a row that do not say how long
ASKED_MAX_S = 10.0  # the longest pause that an upstream may ask for


class Congestion:
    """The window of one upstream.

    Attributes:
        is_felt: Whether something was refused lately: only then answers are to be told of.
        inputs_max: The most inputs that may be in flight; inf until something was refused.
        pause_ends_s: When the next call may be made, in seconds of the clock that is passed in.
    """

    def __init__(self) -> None:
        self.is_felt = False
        self.inputs_max = inf
        self.pause_ends_s = -inf
        self._cut_s = -inf
        self._refusals = 0  # in a row

    def refused(self, started_s: float, now_s: float, in_flight_inputs: int, asked_s: float | None) -> None:
        """A call was refused.

        Args:
            started_s: When the call began. Calls that were in flight together and are refused together are one refusal.
            now_s: The time now.
            in_flight_inputs: Number of inputs that were in flight, with those of the call.
            asked_s: Seconds after which the upstream wants to be asked again; None: it did not say.
        """
        if started_s >= self._cut_s:
            self.inputs_max = max(1.0, min(self.inputs_max, float(in_flight_inputs)) / 2)
            self.is_felt = True
            self._cut_s = now_s
            self._refusals += 1
        pause_s = min(PAUSE_MIN_S * 2.0 ** (self._refusals - 1), PAUSE_MAX_S)
        if asked_s is not None:
            pause_s = min(max(asked_s, PAUSE_MIN_S), ASKED_MAX_S)
        self.pause_ends_s = max(self.pause_ends_s, now_s + pause_s)

    def wait(self, until_s: float) -> None:
        """Make no call before this time: its budget allows none."""
        self.pause_ends_s = max(self.pause_ends_s, until_s)

    def answered(self, inputs: int) -> None:
        """A call with so many inputs was answered, while congestion was felt."""
        self._refusals = 0
        self.inputs_max += STEP_INPUTS * inputs / self.inputs_max
        if self.inputs_max > KNOWN_MAX_INPUTS:
            self.inputs_max = inf
            self.is_felt = False
