"""What calls to one upstream cost: the law that explains them, and its figures. Pure.

Up to its knee a call costs the same whatever it carries, as on a GPU that is not full; from there on it costs by its units.
There are three laws of what a unit is. An upstream that pads computes the longest input of a call as often as the call has
inputs; others compute each input at its own length; and one whose model has one size of input computes all alike, however long
they are. All laws are fitted to the same calls, with and without a knee.

1. The law that explains the calls better rules. It begins with padding: to take an upstream that pads for one that does not
   costs four fifths of its throughput, and the reverse a third. Where inputs are of like length all explain the same, and
   the one that rules stays, however many calls seem to speak for another.
2. Another law, and a knee, must be better beyond chance: `EVIDENCE` is the logarithm of a ratio of likelihoods. That lengths cost
   nothing is only believed, or given up, where lengths are far apart and the other law is far off: what short texts take hardly
   depends on their length, either.
3. The last `WINDOW_CALLS` count, all alike, so what an upstream was before is gone after them; at a step it is forgotten at once.
4. Calls count by their relative error, and one that took far from what was expected counts little: a pause is not a price.
"""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from math import log

import msgspec

WINDOW_CALLS = 64
CALLS_MIN, FIT_EVERY_CALLS = 8, 16  # fewer say nothing; learning takes 0.15 ms, which is 10 us a call
SECONDS_MIN = 1e-5  # of a call: those that end within one tick of the clock, a millisecond, took none by it
SPREAD_MIN = 0.1  # calls of like size say nothing about the price of size
FLAT_DEFAULT_S = 0.002
PADDING_DEFAULT = 128.0  # characters; 1.5 ms against 13 us a character of MiniLM on two cores
PADDING_MIN, PADDING_MAX = 16.0, 65_536.0
COUNTED_UNITS = 128  # of an input whose length costs nothing: about a text of usual length, so that what is bound in units is as usual
EVIDENCE, EVIDENCE_MAX = (
    5.0,
    15.0,
)  # e^5 to one before a law gives way; what was gathered for it in good times counts up to e^15
EVIDENCE_KEPT = 0.96  # at each fit: what four hundred calls say counts
ALIKE_TIMES = 10.0  # what chance varies, squared: calls that vary no more, by a tenth, took the same
MIXED_CALLS_MIN = (
    2  # among the last: of others both laws explain the same, and what they seem to say for one of them is noise
)
ERROR_MIN = 0.03  # of what a call takes: laws that are both as near are equal
COUNTED_ERROR_MIN = 0.15  # the same where one of them is that lengths cost nothing
APART_TIMES = 8.0  # the longest inputs of calls that differ less in that do not show whether lengths cost anything
OUTLIER = 0.5  # of what was expected: beyond it a call counts the less the further it is off
NEAR_TIMES = 2.0  # a call that took more times what it costs, or less by that, is none that this cost explains
KNEE_EVERY_CALLS = 4  # in the order of their size: where knees are looked for
KNEE_CALLS_MIN = 8  # above it
KNEE_TIMES, KNEE_SMALL_CALLS_MIN = 2, 4  # so far below it, so that the foot of a curve is not taken for a knee


class CostLaw(StrEnum):
    """What the units of a call are."""

    PADDED = "padded"
    SUMMED = "summed"
    COUNTED = "counted"

    def units(self, padded: int, useful: int, inputs: int) -> int:
        """Return the units of a call, given its inputs times the length of the longest, the sum of their lengths, and their number."""
        if self is CostLaw.COUNTED:
            return COUNTED_UNITS * inputs
        return padded if self is CostLaw.PADDED else useful

    def tokens(self, padded: int, useful: int) -> int:
        """Return the tokens that count against what a call may have, in the unit of lengths; arguments are those of `units`."""
        return useful if self is CostLaw.SUMMED else padded


class CallCost(msgspec.Struct, frozen=True):
    """What a call costs: `flat_s`, and `per_unit_s` for each unit above `knee_units`.

    Attributes:
        flat_s: Seconds that a call takes whatever it carries.
        per_unit_s: Seconds for each unit above the knee; 0 where size costs nothing.
        knee_units: Units up to which size costs nothing.
        law: What a unit is.
    """

    flat_s: float = FLAT_DEFAULT_S
    per_unit_s: float = FLAT_DEFAULT_S / PADDING_DEFAULT
    knee_units: float = 0.0
    law: CostLaw = CostLaw.PADDED

    @property
    def flat_units(self) -> float:
        """Units above the knee that cost as much as a call costs whatever it carries."""
        units = self.flat_s / self.per_unit_s if self.per_unit_s else self.knee_units
        return min(max(units, PADDING_MIN), PADDING_MAX)

    def seconds(self, units: float) -> float:
        """Return what a call of so many units costs."""
        return self.flat_s + self.per_unit_s * max(0.0, units - self.knee_units)

    def is_near(self, units: float, seconds: float) -> bool:
        """Whether a call of so many units that took so long is one that this cost explains."""
        expected_s = self.seconds(units)
        return expected_s <= NEAR_TIMES * seconds <= NEAR_TIMES * NEAR_TIMES * expected_s


class _Made(msgspec.Struct, frozen=True):
    """One call, as `CostModel.note` takes it."""

    padded: int
    useful: int
    inputs: int
    seconds: float
    is_mixed: bool

    def units(self, law: CostLaw) -> int:
        return law.units(self.padded, self.useful, self.inputs)


class CostModel:
    """Learns what calls cost, from what each carried and took.

    Attributes:
        cost: What a call costs.
        missed: How much of the variance of what the last calls took the law that rules does not explain, 0 to 1, and chance;
            where all took the same there is nothing to explain, and nothing is missed.
    """

    def __init__(self) -> None:
        self.cost = CallCost()
        self.missed = 1.0
        self._evidence = dict.fromkeys(CostLaw, 0.0)  # for the law that rules and against each other one
        self._noted, self._fits_at = 0, CALLS_MIN
        self._calls: deque[_Made] = deque(maxlen=WINDOW_CALLS)

    @property
    def evidence(self) -> float:
        """For the law that rules and against the other one of those by which length costs: negative where it speaks for the other."""
        return self._evidence[CostLaw.PADDED if self.cost.law is CostLaw.SUMMED else CostLaw.SUMMED]

    def note(
        self,
        padded: int,
        useful: int,
        seconds: float,
        *,
        inputs: int = 1,
        is_mixed: bool = True,
        may_fit: bool = True,
    ) -> bool:
        """Learn from one call. Return whether the cost was fitted anew; a fit that is due and may not be made is made as soon as it may.

        Args:
            padded: Its inputs times the longest of them.
            useful: The sum of their lengths.
            seconds: What it took.
            inputs: Their number.
            is_mixed: Whether they differ in length beyond chance.
            may_fit: See above.
        """
        self._calls.append(_Made(padded, useful, inputs, max(seconds, SECONDS_MIN), is_mixed))
        self._noted += 1
        if is_fitted := may_fit and self._noted >= self._fits_at:
            self._learn()
            self._fits_at = (self._noted // FIT_EVERY_CALLS + 1) * FIT_EVERY_CALLS
        return is_fitted

    def adopt(self, cost: CallCost, kept: int = 0) -> None:
        """Begin from what another batcher has learnt; of the calls that were seen here only the last `kept` count."""
        self.cost = cost
        self._evidence = dict.fromkeys(CostLaw, 0.0)
        self._forget(kept)

    def forget(self) -> None:
        """Begin anew with the last calls, so few that the next one is the first to be fitted again: the upstream is another."""
        self._forget(CALLS_MIN - 1)

    def disbelieve(self) -> None:
        """Begin anew with the last calls, as `forget` does, and by no law but the usual one."""
        self.adopt(CallCost(), CALLS_MIN - 1)

    def _forget(self, kept: int) -> None:
        while len(self._calls) > kept:
            self._calls.popleft()
        self._noted, self._fits_at = len(self._calls), CALLS_MIN

    def _learn(self) -> None:
        """Fit all laws to the last calls, and let the best one rule."""
        law, calls, weights = self.cost.law, self._calls, self._weights()
        total = sum(weights)
        mean_s = sum([weight * call.seconds for weight, call in zip(weights, calls, strict=True)]) / total
        spread = sum([weight * (call.seconds - mean_s) ** 2 for weight, call in zip(weights, calls, strict=True)])
        least, least_counted = (total * (share * mean_s) ** 2 for share in (ERROR_MIN, COUNTED_ERROR_MIN))
        fits = {
            each: fit([(call.units(each), call.seconds, w) for w, call in zip(weights, calls, strict=True)], least)
            for each in CostLaw
        }
        errors = {each: fitted.error if fitted else spread for each, fitted in fits.items()}
        for other in CostLaw:
            is_of_counted = CostLaw.COUNTED in (law, other)
            near = least_counted if is_of_counted else least
            # What the calls say that were not in the last fit.
            found = min(len(calls), FIT_EVERY_CALLS) / 2 * log((errors[other] + near) / (errors[law] + near))
            if not self._can_tell(is_of_counted=is_of_counted):
                found = 0.0
            self._evidence[other] = min(self._evidence[other] * EVIDENCE_KEPT + found, EVIDENCE_MAX)
        better = min(self._evidence, key=self._evidence.__getitem__)
        if (against := self._evidence[better]) < -EVIDENCE and fits[better]:
            law = better
            self._evidence = {other: min(each - against, EVIDENCE_MAX) for other, each in self._evidence.items()}
        self.missed = (errors[law] + least) / max(spread + least, ALIKE_TIMES * least)
        if fitted := fits[law]:
            self.cost = CallCost(fitted.flat_s, fitted.per_unit_s, fitted.knee_units, law)

    def _can_tell(self, *, is_of_counted: bool) -> bool:
        """Whether the lengths of the last calls show which of two laws is right; `is_of_counted`: by one lengths cost nothing."""
        if not is_of_counted:
            return sum([call.is_mixed for call in self._calls]) >= MIXED_CALLS_MIN
        longest = sorted([call.padded / call.inputs for call in self._calls])
        return longest[-2] >= APART_TIMES * longest[1]  # of one call alone it may be chance

    def _weights(self) -> list[float]:
        if self._noted == CALLS_MIN:
            return [1.0] * len(self._calls)  # nothing is expected yet
        law, weights = self.cost.law, []
        for call in self._calls:
            expected_s, seconds = max(self.cost.seconds(call.units(law)), SECONDS_MIN), call.seconds
            off = abs(seconds / expected_s - 1)
            weights.append((1.0 if off <= OUTLIER else OUTLIER / off) / (expected_s * expected_s))
        return weights


class Fit(msgspec.Struct, frozen=True):
    """A line through calls, flat up to its knee: see `CallCost`; `error` is the weighted sum of the squares of what it misses."""

    flat_s: float
    per_unit_s: float
    knee_units: float
    error: float


class _Sums(msgspec.Struct):
    """Weighted sums over some calls: x are units, y seconds."""

    w: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    y: float = 0.0
    xy: float = 0.0
    yy: float = 0.0


def fit(calls: Sequence[tuple[int, float, float]], error_min: float) -> Fit | None:
    """Return the line that explains calls best, with a knee where that explains much more; None where their sizes are alike.

    Least squares for one knee after the other, from the largest call down: the sums over the calls above the knee grow.

    Args:
        calls: Units, seconds and weight of each.
        error_min: Errors that differ by less are equal.
    """
    ascending = sorted(calls)
    every = _Sums(
        w=sum([weight for _, _, weight in ascending]),
        y=sum([weight * seconds for _, seconds, weight in ascending]),
        yy=sum([weight * seconds * seconds for _, seconds, weight in ascending]),
    )
    above, knees, count = _Sums(), [], len(ascending)
    knee_min = KNEE_TIMES * ascending[min(KNEE_SMALL_CALLS_MIN, count) - 1][0]
    w = x = xx = y = xy = 0.0
    for place in range(count - 1, -1, -1):
        units, seconds, weight = ascending[place]
        if place % KNEE_EVERY_CALLS == 0 and units > knee_min and place < count - KNEE_CALLS_MIN:
            above.w, above.x, above.xx, above.y, above.xy = w, x, xx, y, xy
            knees.append(_line(units, above, every))
        w += weight
        x += weight * units
        xx += weight * units * units
        y += weight * seconds
        xy += weight * units * seconds
    above.w, above.x, above.xx, above.y, above.xy = w, x, xx, y, xy
    if w * xx - x * x <= (SPREAD_MIN * x) ** 2:
        return None
    straight = _line(0, above, every)
    if not straight.per_unit_s:
        return Fit(straight.flat_s, 0.0, ascending[-1][0], straight.error)
    best = min(knees, key=lambda each: each.error, default=straight)
    evidence = count / 2 * log((straight.error + error_min) / (best.error + error_min))
    return best if evidence > EVIDENCE else straight


def _line(knee_units: float, above: _Sums, every: _Sums) -> Fit:
    """Return the best line with this knee, of the sums over the calls above it and over all; it neither falls nor begins below 0."""
    z = above.x - knee_units * above.w  # of the units above the knee
    zz = above.xx - knee_units * (above.x + z)
    zy = above.xy - knee_units * above.y
    spread, product = zz - z * z / every.w, zy - z * every.y / every.w
    if spread <= 0 or product <= 0:
        return Fit(every.y / every.w, 0.0, knee_units, max(0.0, every.yy - every.y * every.y / every.w))
    per_unit_s = product / spread
    flat_s = (every.y - per_unit_s * z) / every.w
    if flat_s < 0:
        return Fit(0.0, zy / zz, knee_units, max(0.0, every.yy - zy * zy / zz))
    return Fit(flat_s, per_unit_s, knee_units, max(0.0, every.yy - every.y * every.y / every.w - product * per_unit_s))
