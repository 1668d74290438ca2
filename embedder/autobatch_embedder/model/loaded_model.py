"""The model in memory: token ids in, vectors out. Blocking; `engine` decides on which thread it runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from autobatch_embedder.errors import ModelFolderError, TeiError
from autobatch_embedder.model import graph_cache, head
from autobatch_embedder.model.dividing import choice as choices
from autobatch_embedder.model.dividing import divided_networks
from autobatch_embedder.model.dividing.choice import ChosenDivision
from autobatch_embedder.model.dividing.division import Division, Measurement
from autobatch_embedder.model.dividing.measuring import measure
from autobatch_embedder.model.dividing.sliced_graph import SlicedGraph
from autobatch_embedder.model.dividing.slices import TOKENS_MAX
from autobatch_embedder.model.tokens import TextTokenizer
from autobatch_embedder.model.vectors import Vectors
from autobatch_embedder.model_files import folder_reading
from autobatch_embedder.model_files.model_folder import ModelFolder
from autobatch_shared.cores import cores, cpu_name
from autobatch_shared.measuring.memory import trim
from autobatch_shared.settings.definitions import EmbedderSettings

SLICES_A_CORE = 4
"""In a call that is full. With more texts to choose from, those of a slice are more alike: 64 mixed texts in flight were
119 a second with 2 and 148 with 4, and 438 and 463 short ones; latencies fell, too."""


class Model:
    """A loaded model.

    Attributes:
        folder: What was loaded.
        choice: How the cores are divided, and why.
        tokenizer: Makes the ids that `run` takes.
        size: Components of a vector of the encoder.
        head: What comes after the encoder; None: nothing.
        full_tokens: Tokens of requests that are computed together.
        quantized: What quantisation changed, `quantizing.COSINES`; empty: the graph is float32.
    """

    def __init__(self, folder: ModelFolder, graph: Path | bytes, choice: ChosenDivision) -> None:
        """Load it.

        Args:
            folder: Of the model.
            graph: What `graph_cache.load` returned.
            choice: How the cores are divided.

        Raises:
            ModelFolderError: It cannot be loaded, or its first pass gives no vector.
        """
        workers, threads = choice.division.workers, choice.division.threads
        self.folder = folder
        self.choice = choice
        self.tokenizer = TextTokenizer(folder)
        alone, beside = divided_networks.load(folder, graph, choice.division)
        self.size = alone.size
        self.head = None if alone.is_whole else head.load(folder, threads)
        self.quantized = alone.quantized
        self._network = SlicedGraph(alone, beside, workers)
        self.full_tokens = min(workers * threads, cores()) * SLICES_A_CORE * TOKENS_MAX
        self._warm_up()

    @property
    def dtype(self) -> str:
        """What products are computed in. Batchers take it for a part of what decides a vector."""
        return "int8" if self.quantized else "float32"

    def _warm_up(self) -> None:
        """Make the first pass, which allocates memory: no client should wait for that, nor find out that weights are bad."""
        rows = [[0, 0]]
        try:
            pooled = self.run(rows)
            answers = self.run_with_head(rows) if self.head else pooled
        except TeiError as error:
            raise ModelFolderError(f"{self.folder.path}: the first pass failed: {error}") from error
        if not (pooled.any() and np.isfinite(pooled).all() and np.isfinite(answers).all()):
            raise ModelFolderError(
                f"{self.folder.path}: the first pass gave no vector (NaN or zeros): damaged weights?"
            )

    def run(self, rows: Sequence[Sequence[int]]) -> Vectors:
        """Pool the vectors of each text's tokens. Takes, returns and raises as `SlicedGraph.pooled`."""
        return self._network.pooled(rows)

    def run_with_head(self, rows: Sequence[Sequence[int]]) -> Vectors:
        """The result of the whole model for each row: a vector, or the scores of its head. Takes and raises as `run`."""
        if self.head is None:
            return self.run(rows)
        if self.folder.task == "splade":
            return self.head.words(self.run_tokens(rows))
        return self.head.run(self.run(rows))

    def run_tokens(self, rows: Sequence[Sequence[int]]) -> list[Vectors]:
        """One forward pass, without the pooling.

        Args:
            rows: Token ids, at least one row; a row may be empty.

        Returns:
            For each row the vectors of its tokens: (its length, size) float32.

        Raises:
            TeiError: The pass failed.
        """
        if not any(rows):
            return [np.empty((0, self.size), dtype=np.float32)] * len(rows)
        ends = np.cumsum([len(row) for row in rows])
        return np.split(self._network.tokens(rows), ends[:-1])

    def give_back(self) -> None:
        """Give memory that was kept for larger passes back to the system: the next ones ask for it again.

        Raises:
            TeiError: The pass that this needs failed.
        """
        self._network.give_back()
        if self.head:
            self.head.give_back()
        trim()


def load(settings: EmbedderSettings, xdg_cache_home: str | None) -> Model:
    """Load the model that the settings name, building its graph and measuring how to divide the cores at its first start.

    Raises:
        ModelFolderError: The model cannot be served.
    """
    folder = folder_reading.find(
        settings.embedder_model_dir,
        settings.embedder_pooling,
        model_id=settings.embedder_model_id,
        revision=settings.embedder_model_revision,
    )
    cache = graph_cache.folder(settings.embedder_cache_dir, xdg_cache_home)
    graph = graph_cache.load(folder, cache, settings.embedder_quantize)
    count = cores()

    def measured(division: Division) -> Measurement:
        network = SlicedGraph(*divided_networks.load(folder, graph, division), division.workers)
        try:
            return measure(network, count, folder.tokens_max)
        finally:
            network.close()
            del network
            trim()

    if isinstance(graph, Path) and graph != folder.published_graph:
        name = graph.name  # which says it already: to hash the weights once more would lengthen each start
    else:
        name = graph_cache.name_of(folder, settings.embedder_quantize)
    kept = choices.file_of(
        cache,
        graph=name,
        cores=count,
        cpu=cpu_name(),
        onnxruntime=onnxruntime.__version__,
    )
    choice = choices.choose(settings.embedder_workers, settings.embedder_threads, count, kept, measured)
    return Model(folder, graph, choice)
