"""What comes after the encoder, in memory: dense layers on pooled vectors, scores of classes, scores of words.

A graph of its own, beside the encoder's, so that one encoder serves vectors and tokens of every model.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model.loaded_graph import LoadedGraph
from autobatch_embedder.model.vectors import Vectors
from autobatch_embedder.model_files import heads, weights
from autobatch_embedder.model_files.heads import Dense
from autobatch_embedder.model_files.model_folder import ModelFolder
from autobatch_embedder.model_files.modules import DenseFile


class Head:
    """Layers after the encoder.

    Attributes:
        size: Components of what it returns for one vector or one text.
    """

    def __init__(self, layers: Sequence[Dense], logarithms: int, threads: int) -> None:
        """Build it.

        Args:
            layers: One after the other.
            logarithms: Of the scores of words, as `ModelFolder` has it; 0: the result is not scores of words.
            threads: For one pass.
        """
        self.size = layers[-1].weight.shape[0]
        self._inside = layers[0].weight.shape[1]
        self._network = LoadedGraph(_graph(layers, logarithms), threads)

    def run(self, vectors: Vectors) -> Vectors:
        """Compute.

        Args:
            vectors: (n, hidden) float32: pooled vectors, or for scores of words the tokens of one text.

        Returns:
            (n, size) float32; for scores of words (1, size).

        Raises:
            TeiError: The pass failed.
        """
        return self._network.run("out", {"in": vectors})

    def give_back(self) -> None:
        """Give memory that was kept for larger passes back to the system. Raises as `run`."""
        self._network.run("out", {"in": np.zeros((1, self._inside), dtype=np.float32)}, shrinks=True)

    def words(self, tokens: Sequence[Vectors]) -> Vectors:
        """Return the scores of every word for each text: (texts, vocabulary) float32. Raises as `run`.

        One text at a time: the scores of all tokens of 32 texts at once would be gigabytes.
        """
        return np.concatenate([self.run(text) for text in tokens])


def load(folder: ModelFolder, threads: int) -> Head | None:
    """Return the head of a model; None if it has none.

    Raises:
        ModelFolderError: A tensor is missing or of another shape.
    """
    layers = layers_of(folder)
    return Head(layers, folder.logarithms if folder.task == "splade" else 0, threads) if layers else None


def layers_of(folder: ModelFolder) -> tuple[Dense, ...]:
    """Return the layers after the pooling, or after the tokens for `splade`. Raises as `load`."""
    if folder.task == "embedding":
        return _checked(tuple(map(_of_file, folder.dense)))
    read = heads.word_scores if folder.task == "splade" else heads.classifier
    layers = _checked(read(folder.config, folder.tensors(), folder.encoder.epsilon))
    if folder.task != "splade" and len(folder.labels) != layers[-1].weight.shape[0]:
        rows = layers[-1].weight.shape[0]
        raise folder.config.fault(f"id2label has {len(folder.labels)} labels, the classifier has {rows}")
    return layers


def _of_file(file: DenseFile) -> Dense:
    tensors = weights.read(file.path)
    for name in ("linear.weight", *(["linear.bias"] if file.has_bias else [])):
        if name not in tensors:
            raise ModelFolderError(f"{file.path}: no tensor {name}")
    shape = tensors["linear.weight"].shape
    said = tuple(there if said is None else said for said, there in zip(file.shape, shape, strict=True))
    if said != shape:
        config = file.path.with_name("config.json")
        raise ModelFolderError(f"{file.path}: linear.weight has the shape {shape}, but {config} says {said}")
    bias = None if file.has_bias is False else tensors.get("linear.bias")
    return Dense(tensors["linear.weight"], bias, file.activation)


def _checked(layers: tuple[Dense, ...]) -> tuple[Dense, ...]:
    for before, after in pairwise(layers):
        if before.weight.shape[0] != after.weight.shape[1]:
            raise ModelFolderError(f"layers of shapes {before.weight.shape} and {after.weight.shape} do not fit")
    return layers


def _graph(layers: Sequence[Dense], logarithms: int) -> bytes:
    # Only building needs onnx: a model without a head starts without it.
    from onnx import TensorProto, helper  # noqa: PLC0415

    from autobatch_embedder.model.network.layers import dense, word_weights  # noqa: PLC0415
    from autobatch_embedder.model.network.nodes import Nodes  # noqa: PLC0415

    nodes = Nodes()
    x = "in"
    for layer in layers:
        x = dense(nodes, x, layer)
    if logarithms:
        # They grow with the score, so the largest may be taken first.
        x = word_weights(nodes, nodes.op("ReduceMax", x, nodes.integers(0), keepdims=1), logarithms)
    nodes.output("out", x)
    inside = helper.make_tensor_value_info("in", TensorProto.FLOAT, ["rows", layers[0].weight.shape[1]])
    outside = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["results", layers[-1].weight.shape[0]])
    built: bytes = nodes.model("head", [inside], [outside]).SerializeToString()
    return built
