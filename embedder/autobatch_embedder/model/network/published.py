"""The graph of the model's repository, `onnx/model.onnx`: for families whose graph is not built here.

It takes padded inputs and returns what the exporter chose: vectors of tokens, which are pooled here, pooled vectors, or
the scores of labels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autobatch_embedder import errors
from autobatch_embedder.errors import ModelFolderError, TeiError
from autobatch_embedder.model.loaded_graph import LoadedGraph
from autobatch_embedder.model.network.packing import SECOND_SEGMENT, pad
from autobatch_embedder.model.vectors import Vectors
from autobatch_embedder.model_files.model_folder import SCORING, ModelFolder
from autobatch_embedder.model_files.modules import Pooling

TOKENS, POOLED, SCORES = ("last_hidden_state", "token_embeddings"), "sentence_embedding", "logits"
"""Names of outputs, as the exporters of Transformers and Sentence Transformers give them."""
_INPUTS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
_TYPES: dict[str, npt.DTypeLike] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}

Mask = npt.NDArray[np.bool_]


class PublishedGraph:
    """A graph that was loaded. A `LoadedNetwork`, and `is_whole` where it returns vectors with dense layers, or scores."""

    def __init__(self, graph: LoadedGraph, folder: ModelFolder) -> None:
        """Look at its inputs and outputs.

        Raises:
            ModelFolderError: It needs other inputs, does not return what the model is for, or its first pass fails.
        """
        self._graph = graph
        self.quantized: dict[str, str] = {}
        self._pooling = folder.pooling
        self._tokens = next((name for name in TOKENS if name in graph.outputs), None)
        self._scores = SCORES if folder.task in SCORING else POOLED
        self.is_whole = folder.task in SCORING or self._tokens is None
        unknown = {name for name, kind in graph.inputs.items() if name not in _INPUTS or kind not in _TYPES}
        if unknown:
            raise ModelFolderError(f"{folder.network}: its inputs {', '.join(sorted(unknown))} are not understood")
        if folder.task == "splade" or (self.is_whole and self._scores not in graph.outputs):
            outputs = ", ".join(graph.outputs)
            raise ModelFolderError(f"{folder.network}: of its outputs {outputs} none is understood for {folder.task}")
        try:
            self.size = self.run("pooled", [[0]]).shape[1]
        except TeiError as error:
            raise ModelFolderError(f"{folder.network}: the first pass failed: {error}") from error

    def run(self, output: str, rows: Sequence[Sequence[int]], *, shrinks: bool = False) -> Vectors:
        """As `LoadedNetwork.run`."""
        feed = pad(rows)
        mask = feed["attention_mask"].astype(bool)
        feed["token_type_ids"] = feed["input_ids"] // SECOND_SEGMENT
        feed["input_ids"] = feed["input_ids"] % SECOND_SEGMENT
        feed["position_ids"] = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
        inputs = {name: feed[name].astype(_TYPES[kind]) for name, kind in self._graph.inputs.items()}
        if output == "pooled" and self.is_whole:
            return self._graph.run(self._scores, inputs, shrinks=shrinks)
        if self._tokens is None:
            raise errors.backend_failed(f"the model's graph returns {POOLED} only, no vectors of tokens")
        tokens = self._graph.run(self._tokens, inputs, shrinks=shrinks)  # (texts, longest, hidden)
        return pooled(tokens, mask, self._pooling) if output == "pooled" else tokens[mask]


def pooled(tokens: Vectors, mask: Mask, pooling: Pooling) -> Vectors:
    """Pool the vectors of each text's tokens.

    Args:
        tokens: (texts, longest, hidden) float32.
        mask: (texts, longest), true where there is a token, at least one in each text.
        pooling: Any but `splade`.

    Returns:
        (texts, hidden) float32.
    """
    if pooling == "cls":
        return tokens[:, 0]
    if pooling == "last-token":
        last: Vectors = tokens[np.arange(len(tokens)), mask.sum(axis=1) - 1]
        return last
    if pooling == "max":
        largest: Vectors = np.where(mask[:, :, None], tokens, np.float32(-np.inf)).max(axis=1)
        return largest
    weights = mask.astype(np.float32)
    if pooling == "weighted-mean":
        weights *= np.arange(1, mask.shape[1] + 1, dtype=np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    mean: Vectors = np.einsum("tl,tlh->th", weights, tokens)
    return mean
