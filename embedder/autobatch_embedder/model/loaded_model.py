"""The model in memory: token ids in, vectors out. Blocking; `engine` decides on which thread it runs."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from autobatch_embedder.model import graph_cache, head, model_folder
from autobatch_embedder.model.loaded_graph import LoadedGraph
from autobatch_embedder.model.model_folder import ModelFolder
from autobatch_embedder.model.network.packing import pack
from autobatch_embedder.model.network.published import PublishedGraph
from autobatch_embedder.model.slices import TOKENS_MAX, cut
from autobatch_embedder.model.tokens import TextTokenizer
from autobatch_embedder.model.vectors import Vectors
from autobatch_shared.settings.definitions import EmbedderSettings

SLICES_A_WORKER = 4
"""In a call that is full. With more texts to choose from, those of a slice are more alike: 64 mixed texts in flight were
119 a second with 2 and 148 with 4, and 438 and 463 short ones; latencies fell, too."""


class Model:
    """A loaded model.

    Attributes:
        folder: What was loaded.
        tokenizer: Makes the ids that `run` takes.
        size: Components of a vector of the encoder.
        head: What comes after the encoder; None: nothing.
        full_tokens: Tokens of requests that are computed together.
        quantized: What quantisation changed, `quantizing.COSINES`; empty: the graph is float32.
    """

    def __init__(self, folder: ModelFolder, graph: Path | bytes, threads: int, workers: int) -> None:
        self.folder = folder
        self.tokenizer = TextTokenizer(folder)
        self._graph = LoadedGraph(
            graph, threads, "" if folder.published_graph else "; delete it to have it built again"
        )
        self._published = PublishedGraph(self._graph, folder) if folder.published_graph else None
        self.size = self._published.size if self._published else folder.encoder.hidden
        self.head = None if self._published and self._published.is_whole else head.load(folder, threads)
        self.quantized = {} if self._published else self._graph.metadata
        self._workers = workers
        self.full_tokens = workers * SLICES_A_WORKER * TOKENS_MAX
        self._slices = ThreadPoolExecutor(workers, "slice")
        # The first pass allocates memory; no client should wait for that.
        self.run([[0, 0]])

    def run(self, rows: Sequence[Sequence[int]]) -> Vectors:
        """Pool the vectors of each text's tokens, in as many forward passes as the lengths make worth it.

        Args:
            rows: Token ids, at least one row, each with at least one id.

        Returns:
            Pooled vectors, not normalised: (len(rows), size) float32, in the order of `rows`.

        Raises:
            TeiError: The pass failed.
        """
        slices = cut([len(row) for row in rows], self._workers)
        if len(slices) == 1:
            return self._pass("pooled", rows)
        pooled = np.empty((len(rows), self.size), dtype=np.float32)
        passes = self._slices.map(lambda places: self._pass("pooled", [rows[place] for place in places]), slices)
        for places, vectors in zip(slices, passes, strict=True):
            pooled[places] = vectors
        return pooled

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
        return np.split(self._pass("tokens", rows), ends[:-1])

    def _pass(self, output: str, rows: Sequence[Sequence[int]]) -> Vectors:
        if self._published:
            return self._published.run(output, rows)
        return self._graph.run(output, pack(rows))


def load(settings: EmbedderSettings, xdg_cache_home: str | None) -> Model:
    """Load the model that the settings name, building its graph if there is none yet.

    Raises:
        ModelFolderError: The model cannot be served.
    """
    folder = model_folder.find(
        settings.embedder_model_dir,
        settings.embedder_pooling,
        model_id=settings.embedder_model_id,
        revision=settings.embedder_model_revision,
    )
    cache = graph_cache.folder(settings.embedder_cache_dir, xdg_cache_home)
    threads = settings.embedder_threads or cores()
    return Model(
        folder,
        graph_cache.load(folder, cache, settings.embedder_quantize),
        threads,
        settings.embedder_workers or threads,
    )


def cores() -> int:
    """Cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
