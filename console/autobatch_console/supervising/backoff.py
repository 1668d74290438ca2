"""How long to pause before a part that died is started again. Pure: the caller measures and waits."""

FIRST_S = 0.5
LONGEST_S = 30.0
RAN_WELL_S = 60.0  # twice the longest pause: whoever lasts longer did not die of its start


class Backoff:
    """0.5, 1, 2, ... 30 s; from the beginning again after a part ran well."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def pause_s(self, ran_s: float) -> float:
        """Return the pause after a run of `ran_s` seconds."""
        if ran_s >= RAN_WELL_S:
            self._next_s = FIRST_S
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, LONGEST_S)
        return pause_s
