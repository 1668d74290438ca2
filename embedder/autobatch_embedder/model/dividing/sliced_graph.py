"""A loaded graph and the threads that run it: one call becomes passes of texts of like length, several at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from autobatch_embedder.model.dividing.division import Division
from autobatch_embedder.model.loaded_graph import LoadedGraph
from autobatch_embedder.model.network.packing import pack
from autobatch_embedder.model.slices import cut
from autobatch_embedder.model.vectors import Vectors

Ids = Sequence[Sequence[int]]
"""Token ids of each text."""


class SlicedGraph:
    """Several threads may use it at the same time.

    Attributes:
        metadata: What the file says about itself.
    """

    def __init__(self, graph: Path | bytes, division: Division) -> None:
        """Load it.

        Raises:
            ModelFolderError: It cannot be loaded.
        """
        self._graph = LoadedGraph(graph, division.threads)
        self.metadata = self._graph.metadata
        self._workers = division.workers
        self._threads = ThreadPoolExecutor(division.workers, "slice")

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
            return self._pass("pooled", rows)
        passes = self._threads.map(lambda places: self._pass("pooled", [rows[place] for place in places]), slices)
        computed = np.concatenate(list(passes))
        pooled = np.empty_like(computed)
        pooled[[place for places in slices for place in places]] = computed
        return pooled

    def tokens(self, rows: Ids) -> Vectors:
        """Return the vectors of all tokens in one forward pass: (tokens, size) float32. Raises as `pooled`.

        Args:
            rows: At least one id in all; a row may be empty.
        """
        return self._pass("tokens", rows)

    def give_back(self) -> None:
        """Give memory that was kept for larger passes back to the system. Raises as `pooled`."""
        self._graph.run("pooled", pack([[0]]), shrinks=True)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown()

    def _pass(self, output: str, rows: Ids) -> Vectors:
        return self._graph.run(output, pack(rows))
