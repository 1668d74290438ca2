"""The network of a model, loaded: the graph that is built here, or the one of the model's repository."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from autobatch_embedder.model.loaded_graph import LoadedGraph
from autobatch_embedder.model.network.packing import pack
from autobatch_embedder.model.network.published import PublishedGraph
from autobatch_embedder.model.vectors import Vectors
from autobatch_embedder.model_files.model_folder import ModelFolder


class LoadedNetwork(Protocol):
    """Several threads may run it at the same time.

    Attributes:
        size: Components of `pooled`.
        is_whole: Whether `pooled` is what the whole model returns, so that no head comes after it.
        quantized: What quantisation changed, `quantizing.COSINES`; empty: it is not quantised.
    """

    size: int
    is_whole: bool
    quantized: dict[str, str]

    def run(self, output: str, rows: Sequence[Sequence[int]], *, shrinks: bool = False) -> Vectors:
        """Compute `pooled`, (texts, size), or `tokens`, (tokens, hidden): those of all texts, one after the other.

        Args:
            output: One of these.
            rows: Token ids, those of a pair as `SECOND_SEGMENT` has it.
            shrinks: Whether memory that was kept for larger passes is given back to the system afterwards.

        Raises:
            TeiError: The pass failed, or the network has no such output.
        """


class BuiltNetwork:
    """The graph that is built here: the tokens of all texts are packed, without padding. A `LoadedNetwork`."""

    is_whole = False

    def __init__(self, graph: LoadedGraph, size: int) -> None:
        self._graph = graph
        self.size = size
        self.quantized = graph.metadata

    def run(self, output: str, rows: Sequence[Sequence[int]], *, shrinks: bool = False) -> Vectors:
        """As `LoadedNetwork.run`."""
        return self._graph.run(output, pack(rows), shrinks=shrinks)


def load(folder: ModelFolder, graph: Path | bytes, threads: int) -> LoadedNetwork:
    """Load what `graph_cache.load` returned.

    Raises:
        ModelFolderError: It cannot be loaded, or does not return what the model is for.
    """
    if folder.published_graph:
        return PublishedGraph(LoadedGraph(graph, threads), folder)
    return BuiltNetwork(LoadedGraph(graph, threads), folder.encoder.hidden)
