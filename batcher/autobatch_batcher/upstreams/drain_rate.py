"""How many inputs a second are answered while there is a backlog: what this batcher and its upstreams can do. Pure.

Without a backlog the rate of answers is the rate of arrivals, and says nothing of what could be done. What was measured
some time ago is forgotten: an outage that is over refuses no request.
"""

FRESH_SHARE = 0.25  # of a new measurement in the rate: a changed upstream is known after some seconds
FORGOTTEN_S = 10.0  # without a backlog: the upstream may be another then


class DrainRate:
    """Measured between looks, about a second apart.

    Attributes:
        per_s: Inputs that are answered in a second; 0 while it is unknown.
        answered_inputs: Inputs that were answered since the last look; each answer adds to it.
    """

    def __init__(self) -> None:
        self.per_s = 0.0
        self.answered_inputs = 0
        self._looked_s: float | None = None
        self._had_backlog = False
        self._measured_s = 0.0

    def look(self, now_s: float, *, has_backlog: bool) -> None:
        """Measure what was answered since the last look, if there was more to do then and is now."""
        before_s, self._looked_s = self._looked_s, now_s
        answered, self.answered_inputs = self.answered_inputs, 0
        had_backlog, self._had_backlog = self._had_backlog, has_backlog
        if before_s is not None and now_s > before_s and had_backlog and has_backlog:
            measured = answered / (now_s - before_s)
            self.per_s = self.per_s + FRESH_SHARE * (measured - self.per_s) if self.per_s else measured
            self._measured_s = now_s
        elif now_s - self._measured_s > FORGOTTEN_S:
            self.per_s = 0.0
