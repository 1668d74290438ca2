"""Build the ONNX graph of a BERT encoder with mean pooling from its weights.

Inputs:  those of the layout: packed for this server, padded for others
Outputs: `pooled`     (texts, hidden) float32, not normalised
         `tokens`     (tokens, hidden) float32; padded: (texts, longest, hidden), without meaning where the mask is 0

Cutting to `dimensions` comes between pooling and normalising, so both happen outside (`vectors.finish`), and one
output serves every request for pooled vectors. `pooled` is computed from `tokens`, so that output costs nothing.
`graph_cache` keeps the result.
"""

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from autobatch_embedder.http.errors import ModelFolderError
from autobatch_embedder.model.model_folder import BertSizes
from autobatch_embedder.model.network.layouts import Layout, Packed, Padded
from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model.weights import Tensors

_MASKED = np.float32(-1e9)  # added to a score; after the softmax exactly zero


def build(sizes: BertSizes, tensors: Tensors, *, is_packed: bool = True) -> bytes:
    """Return the graph as the bytes of an ONNX file.

    Raises:
        ModelFolderError: A tensor is missing or its shape is not that of `sizes`.
    """
    nodes = Nodes()
    layout = Packed(nodes) if is_packed else Padded(nodes)
    tokens = _Encoder(sizes, tensors, nodes, layout).tokens()
    nodes.output("tokens", tokens)
    nodes.output("pooled", _mean(nodes, layout.mask, layout.to_grid(tokens)))
    outputs = [
        helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["texts", sizes.hidden]),
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [*layout.tokens, sizes.hidden]),
    ]
    serialized: bytes = nodes.model("bert_mean_pooling", layout.inputs, outputs).SerializeToString()
    return serialized


def _mean(nodes: Nodes, mask: str, grid: str) -> str:
    """The mean of each text's tokens: (texts, hidden) of (texts, longest, hidden)."""
    axis = nodes.integers(1)
    total = nodes.op("Squeeze", nodes.op("MatMul", nodes.op("Unsqueeze", mask, axis), grid), axis)
    return nodes.op("Div", total, nodes.op("ReduceSum", mask, axis, keepdims=1))


class _Encoder:
    """The layers between token ids and the vectors of tokens."""

    def __init__(self, sizes: BertSizes, tensors: Tensors, nodes: Nodes, layout: Layout) -> None:
        self._sizes = sizes
        self._tensors = tensors
        self._nodes = nodes
        self._layout = layout
        # Exports of the bare encoder have no prefix, those of a model with a head have one.
        self._prefix = "bert." if "bert.embeddings.word_embeddings.weight" in tensors else ""
        self._with_heads = nodes.integers(0, 0, sizes.heads, sizes.hidden // sizes.heads)
        self._without_heads = nodes.integers(0, 0, sizes.hidden)
        self._score_mask = self._masked_scores()

    def tokens(self) -> str:
        """The vectors of all tokens, as they lie between attentions."""
        hidden = self._embeddings()
        for layer in range(self._sizes.layers):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden)
        return hidden

    def _masked_scores(self) -> str:
        """What is added to the scores of all layers: (texts, 1, 1, longest)."""
        nodes = self._nodes
        padding = nodes.op("Sub", nodes.constant(np.float32(1)), self._layout.mask)
        return nodes.op("Unsqueeze", nodes.op("Mul", padding, nodes.constant(_MASKED)), nodes.integers(1, 2))

    def _embeddings(self) -> str:
        s, nodes = self._sizes, self._nodes
        words = self._weight("embeddings.word_embeddings.weight", s.vocabulary, s.hidden)
        # Every input is one segment, so the vector of segment 0 is added to the positions once, here.
        positions = self._weight("embeddings.position_embeddings.weight", s.positions, s.hidden)
        segments = self._weight("embeddings.token_type_embeddings.weight", s.segments, s.hidden)
        word = nodes.op("Gather", nodes.constant(words), self._layout.ids)
        position = nodes.op("Gather", nodes.constant(positions + segments[0]), self._layout.positions)
        return self._norm("embeddings.LayerNorm", nodes.op("Add", word, position))

    def _layer(self, name: str, hidden: str) -> str:
        s, nodes = self._sizes, self._nodes
        attended = self._attention(name + "attention.self.", hidden)
        out = self._linear(name + "attention.output.dense", attended, s.hidden, s.hidden)
        hidden = self._norm(name + "attention.output.LayerNorm", nodes.op("Add", out, hidden))
        inner = nodes.op("Gelu", self._linear(name + "intermediate.dense", hidden, s.hidden, s.intermediate))
        out = self._linear(name + "output.dense", inner, s.intermediate, s.hidden)
        return self._norm(name + "output.LayerNorm", nodes.op("Add", out, hidden))

    def _attention(self, name: str, hidden: str) -> str:
        s, nodes = self._sizes, self._nodes
        # Query, key and value in one product, the 1/sqrt(head size) of the scores inside the query's weights:
        # 1.4 times as fast as three products at 1 x 16 tokens (2.0 ms instead of 2.8 ms, two cores).
        scales = {"query": np.float32((s.hidden // s.heads) ** -0.5), "key": np.float32(1), "value": np.float32(1)}
        weights = [self._weight(f"{name}{part}.weight", s.hidden, s.hidden).T * k for part, k in scales.items()]
        biases = [self._weight(f"{name}{part}.bias", s.hidden) * k for part, k in scales.items()]
        weight, bias = nodes.constant(np.concatenate(weights, axis=1)), nodes.constant(np.concatenate(biases))
        product = nodes.op("Add", nodes.op("MatMul", hidden, weight), bias)
        query, key, value = nodes.split(self._layout.to_grid(product), 3)
        query = nodes.op("Transpose", nodes.op("Reshape", query, self._with_heads), perm=[0, 2, 1, 3])
        key = nodes.op("Transpose", nodes.op("Reshape", key, self._with_heads), perm=[0, 2, 3, 1])
        value = nodes.op("Transpose", nodes.op("Reshape", value, self._with_heads), perm=[0, 2, 1, 3])
        # Scores are (texts, heads, longest, longest).
        scores = nodes.op("Add", nodes.op("MatMul", query, key), self._score_mask)
        mixed = nodes.op("MatMul", nodes.op("Softmax", scores, axis=-1), value)
        grid = nodes.op("Reshape", nodes.op("Transpose", mixed, perm=[0, 2, 1, 3]), self._without_heads)
        return self._layout.from_grid(grid)

    def _linear(self, name: str, x: str, inside: int, outside: int) -> str:
        nodes = self._nodes
        weight = nodes.constant(self._weight(f"{name}.weight", outside, inside).T)
        return nodes.op("Add", nodes.op("MatMul", x, weight), nodes.constant(self._weight(f"{name}.bias", outside)))

    def _norm(self, name: str, x: str) -> str:
        nodes, size = self._nodes, self._sizes.hidden
        weight, bias = (nodes.constant(self._weight(f"{name}.{part}", size)) for part in ("weight", "bias"))
        return nodes.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=self._sizes.epsilon)

    def _weight(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        tensor = self._tensors.get(self._prefix + name)
        if tensor is None:
            raise ModelFolderError(f"model.safetensors: no tensor {self._prefix}{name}")
        if tensor.shape != shape:
            raise ModelFolderError(f"model.safetensors: {name} has the shape {tensor.shape}, config.json says {shape}")
        return tensor
