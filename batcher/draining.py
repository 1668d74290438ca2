"""How many inputs a second are answered while there is a backlog: what this batcher and its upstreams can do. Pure.

Without a backlog the rate of answers is the rate of arrivals, and says nothing of what could be done.
"""

FRESH_SHARE = 0.25  # of a new measurement in the rate: a changed upstream is known after some seconds


class DrainRate:
    """Measured between looks, about a second apart."""

    def __init__(self) -> None:
        self.per_s = 0.0
        self._answered = 0
        self._looked_s: float | None = None
        self._had_backlog = False

    def answered(self, inputs: int) -> None:
        """Count inputs that were answered."""
        self._answered += inputs

    def look(self, now_s: float, *, has_backlog: bool) -> None:
        """Measure what was answered since the last look, if there was more to do then and is now."""
        before_s, self._looked_s = self._looked_s, now_s
        answered, self._answered = self._answered, 0
        had_backlog, self._had_backlog = self._had_backlog, has_backlog
        if before_s is None or now_s <= before_s or not (had_backlog and has_backlog):
            return
        measured = answered / (now_s - before_s)
        self.per_s = measured if not self.per_s else self.per_s + FRESH_SHARE * (measured - self.per_s)
