"""How many inputs an upstream that says 429 may have in flight: what it has taken, and now and then a few more. Pure.

An upstream refuses what others than this batcher send it, too, and no card says how much that is: so its limit is looked for.

1. What was refused is halved; from there half of the way to it is tried, again and again, until what it takes is known.
2. What is refused above what it has taken shows where the limit is, and costs no pause: it goes on with what it has taken.
3. More is tried again after a while, twice as long after each time in vain: others may send less now.
4. Where it refuses what it has taken before, others send more now: its limit is looked for anew.
5. One that says when to come again may count calls, not inputs: then a smaller call is a call all the same. So calls stay as large as they
   are, fewer are in flight, and what is refused alone waits for its time. Only where that was too short, again and again, are calls smaller.
6. So may one that refuses the smallest call, alone, after it took as much: it is asked as one that says when, after pauses of ours.

Times are passed in.
"""

from math import inf

STEP_INPUTS = 8.0  # more for each answered window, or a quarter of it, where nothing is known to be refused
CLOSE = 0.125  # of the window: it is not looked closer where the limit is
KNOWN_MAX_INPUTS = 10_000.0  # above it nothing was refused for thousands of inputs: there is no limit any more
PATIENCE_MIN_S, PATIENCE_MAX_S = 0.5, 30.0  # until more is tried, which costs a call
PAUSE_MIN_S, PAUSE_MAX_S = 0.05, 1.0  # after refusals in a row that do not say how long
ASKED_MAX_S = 10.0  # the longest pause that an upstream may ask for
VAIN_PAUSES_MAX = 6  # in a row, until a call that came when it was told to is too large


class Congestion:
    """The window of one upstream.

    Attributes:
        is_felt: Whether something was refused lately: only then answers are to be told of.
        inputs_max: The most inputs that may be in flight; inf until something was refused.
        pause_ends_s: When the next call may be made, in seconds of the clock that is passed in.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing of the upstream: what it has refused was refused for what it was."""
        self.is_felt = False
        self.inputs_max = inf
        self.pause_ends_s = -inf
        self._cut_s = -inf
        self._refusals = 0  # in a row
        self._vain_pauses = 0  # in a row: of calls that were refused though nothing else was in flight
        self._taken = 0  # the most inputs in flight that were not too many
        self._answered_most = 0  # the same, since something was refused first
        self._counts_calls = False  # as far as is known
        self._refused_at = inf  # and the least that were
        self._patience_s = PATIENCE_MIN_S
        self._try_more_s = -inf
        self._answered = 0  # inputs, since the window was widened last

    def refused(
        self, started_s: float, now_s: float, in_flight_inputs: int, asked_s: float | None, call_inputs: int = 1
    ) -> None:
        """A call was refused.

        Args:
            started_s: When the call began. Calls that were in flight together and are refused together are one refusal.
            now_s: The time now.
            in_flight_inputs: Number of inputs that were in flight when it began, with its own.
            asked_s: Seconds after which the upstream wants to be asked again; None: it did not say.
            call_inputs: Number of its own inputs.
        """
        is_new = started_s >= self._cut_s
        # A job may be larger than all that may be in flight: then it was sent all the same, and tried nothing.
        is_trial = 0 < self._taken < in_flight_inputs and not (is_new and in_flight_inputs > self.inputs_max)
        if asked_s is not None:
            self.wait(now_s + min(max(asked_s, PAUSE_MIN_S), ASKED_MAX_S))
        if is_new:
            is_alone, is_patient = in_flight_inputs <= call_inputs, self._vain_pauses < VAIN_PAUSES_MAX
            is_smallest = min(call_inputs, self.inputs_max) <= 1
            if is_patient and is_alone and is_smallest and call_inputs <= self._answered_most:
                self._keep_full()
            self._counts_calls &= is_patient
            stays_full = is_patient and (self._counts_calls or asked_s is not None)
            if stays_full and is_alone:
                self._come_later(now_s)
                is_trial = False
            else:
                self._cut(in_flight_inputs, now_s, call_inputs if stays_full else 1, is_trial=is_trial)
        if asked_s is None and not is_trial:
            self.wait(now_s + min(PAUSE_MIN_S * 2.0 ** (self._refusals - 1), PAUSE_MAX_S))

    def wait(self, until_s: float) -> None:
        """Make no call before this time."""
        self.pause_ends_s = max(self.pause_ends_s, until_s)

    def answered(self, inputs: int, in_flight_inputs: int, now_s: float) -> None:
        """A call with so many inputs was answered, while congestion was felt; `in_flight_inputs` is as in `refused`."""
        self._refusals = self._vain_pauses = 0
        if self.inputs_max == inf:
            self.is_felt = False
            return
        self._taken = max(self._taken, in_flight_inputs)
        self._answered_most = max(self._answered_most, in_flight_inputs)
        self._answered += inputs
        if self._answered < self.inputs_max:
            return
        self._answered = 0
        self._widen(now_s)
        if self.inputs_max > KNOWN_MAX_INPUTS:
            self.inputs_max, self.is_felt, self._taken, self._answered_most = inf, False, 0, 0
            self._counts_calls = False

    def _keep_full(self) -> None:
        """Make no smaller calls than were answered, and try larger ones: no smaller ones are possible, and these were refused, too."""
        if not self._counts_calls:
            self._counts_calls = True
            self.inputs_max, self._refused_at = max(self.inputs_max, self._answered_most), inf

    def _come_later(self, now_s: float) -> None:
        """Count a call that was refused alone."""
        self.is_felt = True
        self._cut_s = now_s
        self._vain_pauses += 1
        self._refusals += 1

    def _cut(self, in_flight_inputs: int, now_s: float, least: int, *, is_trial: bool) -> None:
        self.is_felt = True
        self._cut_s = now_s
        self._refused_at = in_flight_inputs
        self._answered = 0
        half = max(min(least, self.inputs_max), min(self.inputs_max, in_flight_inputs) / 2)
        if is_trial:
            self.inputs_max = max(half, self._taken)
            self._patience_s = min(2 * self._patience_s, PATIENCE_MAX_S)
        else:
            self.inputs_max = half
            self._taken, self._patience_s = 0, PATIENCE_MIN_S
            self._refusals += 1
        self._try_more_s = now_s + self._patience_s

    def _widen(self, now_s: float) -> None:
        left = self._refused_at - self.inputs_max
        if left == inf:
            self.inputs_max += max(STEP_INPUTS, self.inputs_max / 4)
        elif left > max(1.0, CLOSE * self.inputs_max):
            self.inputs_max += left / 2
        elif now_s >= self._try_more_s:
            self.inputs_max, self._refused_at = max(self._refused_at, self.inputs_max + 1), inf
