"""How much bulk work is claimed beside other work. Pure.

Bulk work fills the spare places of a batch. Beside a full queue it gets `BULK_SHARE` of the inputs, so that it ends
some day; a single request then waits a third longer at most.
"""

from autobatch_shared.contract.capacity import BULK_SHARE


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
        self._owed = min(max(self._owed + others * BULK_SHARE / (1 - BULK_SHARE) - bulk, -inputs_max), inputs_max)
