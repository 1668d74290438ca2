"""How much bulk work is claimed beside the other. Pure.

Bulk fills what room is left in a batch. Beside a full queue it gets `SHARE` of the inputs, so that it ends one day; a
single request then waits by a third longer at most.
"""

SHARE = 0.25


class BulkShare:
    """Keeps count of what bulk work is owed."""

    def __init__(self) -> None:
        self._owed = 0.0

    def due(self, inputs_max: int) -> int:
        """Return the bulk inputs to claim whatever else waits; at once what is worth a claim, then nothing for a while."""
        return min(int(self._owed), inputs_max) if self._owed >= inputs_max / 4 else 0

    def note(self, others: int, bulk: int, *, is_waiting: bool, inputs_max: int) -> None:
        """Take note of a claim: inputs of other work, of bulk work, and whether more bulk work waits."""
        if not is_waiting:
            self._owed = 0.0
            return
        self._owed = min(max(self._owed + others * SHARE / (1 - SHARE) - bulk, -inputs_max), inputs_max)
