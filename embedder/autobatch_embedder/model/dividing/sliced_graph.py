"""A loaded network and the threads that run it: one call becomes passes of texts of like length, several at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from autobatch_embedder.model.dividing.slices import cut
from autobatch_embedder.model.network.networks import LoadedNetwork
from autobatch_embedder.model.vectors import Vectors

Ids = Sequence[Sequence[int]]
"""Token ids of each text."""


class SlicedGraph:
    """Several threads may use it at the same time."""

    def __init__(self, alone: LoadedNetwork, beside: LoadedNetwork, workers: int) -> None:
        """Start the threads.

        Args:
            alone: For a call that is one pass.
            beside: For passes that run beside each other; it may be the same.
            workers: How many do.
        """
        self._alone = alone
        self._beside = beside
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers, "slice")

    def pooled(self, rows: Ids) -> Vectors:
        """Pool the vectors of each text's tokens, in as many forward passes as the lengths make worth it.

        Args:
            rows: At least one row, each with at least one id.

        Returns:
            Not normalised: (len(rows), size) float32, in the order of `rows`.

        Raises:
            TeiError: A pass failed.
        """
        slices = cut([len(row) for row in rows], self._workers)
        if len(slices) == 1:
            return self._alone.run("pooled", rows)
        passes = self._threads.map(lambda places: self._beside.run("pooled", [rows[place] for place in places]), slices)
        computed = np.concatenate(list(passes))
        pooled = np.empty_like(computed)
        pooled[[place for places in slices for place in places]] = computed
        return pooled

    def tokens(self, rows: Ids) -> Vectors:
        """Return the vectors of all tokens in one forward pass: (tokens, size) float32. Raises as `pooled`.

        Args:
            rows: At least one id in all; a row may be empty.
        """
        return self._alone.run("tokens", rows)

    def give_back(self) -> None:
        """Give memory that was kept for larger passes back to the system. Raises as `pooled`."""
        for network in {self._alone, self._beside}:
            network.run("pooled", [[0]], shrinks=True)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown()
