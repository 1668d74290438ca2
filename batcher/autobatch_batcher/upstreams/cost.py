"""What a call to one upstream costs, learnt from the calls themselves. Pure; times are passed in.

A call costs `fixed + per_unit * units`, where units are its inputs times the longest of them: what a padded model
computes. Both are fitted to the last calls. Their quotient says how much padding one more call would be worth.

Service is counted from the completion before, when that came after the call's start: so a call that waited behind
another at the upstream is not charged for that wait, and calls that run at the same time share the time they take.
"""

MEMORY = 0.98  # weight of the past at each call: about the last fifty count
CALLS_MIN = 8  # before that the defaults are better than a fit
SPREAD_MIN = 0.1  # calls of like size say nothing about the price of size
FIXED_DEFAULT_S = 0.002
PADDING_DEFAULT = 128.0  # characters; 1.5 ms against 13 us a character of MiniLM on two cores
PADDING_MIN, PADDING_MAX = 16.0, 8192.0


class CostModel:
    """Least squares with forgetting, over (units, seconds) of calls."""

    def __init__(self) -> None:
        self.fixed_s = FIXED_DEFAULT_S
        self.padding_max = PADDING_DEFAULT
        self._calls = 0
        self._weight = 0.0
        self._units = self._seconds = 0.0  # means
        self._units_squared = self._seconds_squared = self._product = 0.0  # weighted sums of deviations

    def note(self, units: float, seconds: float) -> None:
        """Learn from one call."""
        self._calls += 1
        self._weight = self._weight * MEMORY + 1.0
        self._units_squared *= MEMORY
        self._seconds_squared *= MEMORY
        self._product *= MEMORY
        by_units = units - self._units
        self._units += by_units / self._weight
        by_seconds = seconds - self._seconds
        self._seconds += by_seconds / self._weight
        self._seconds_squared += by_seconds * (seconds - self._seconds)
        self._units_squared += by_units * (units - self._units)
        self._product += by_units * (seconds - self._seconds)
        if self._calls >= CALLS_MIN and self._units_squared > self._weight * (SPREAD_MIN * self._units) ** 2:
            self._fit()

    @property
    def fit(self) -> float:
        """How much of what calls took is explained by their size, 0 to 1; less than 0 where larger calls take less."""
        deviations = self._units_squared * self._seconds_squared
        return self._product * abs(self._product) / deviations if deviations else 0.0

    def _fit(self) -> None:
        per_unit = self._product / self._units_squared
        if per_unit <= 0:  # size costs nothing: padding neither
            self.fixed_s, self.padding_max = self._seconds, PADDING_MAX
            return
        self.fixed_s = max(0.0, self._seconds - per_unit * self._units)
        self.padding_max = min(max(self.fixed_s / per_unit, PADDING_MIN), PADDING_MAX)
