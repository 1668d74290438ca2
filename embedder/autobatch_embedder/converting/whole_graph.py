"""The graph of a whole model for other servers: padded inputs, and the pooling, the head and the norm inside or not."""

from typing import Literal

import onnx
from onnx import TensorProto, helper

from autobatch_embedder.model.head import layers_of
from autobatch_embedder.model.network import graph
from autobatch_embedder.model.network.layers import dense, word_weights
from autobatch_embedder.model.network.layouts import Padded
from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model.network.places import Places
from autobatch_embedder.model.network.pooled import pool
from autobatch_embedder.model_files.model_folder import ModelFolder

Output = Literal["embedding", "pooled", "last_hidden_state", "logits", "sparse_embedding"]
"""What the graph returns: pooled vectors of length 1, or as they are; vectors of tokens; scores."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def default_output(model: ModelFolder) -> Output:
    """What the model is for."""
    if model.task == "splade":
        return "sparse_embedding"
    if model.task != "embedding":
        return "logits"
    return "embedding" if model.normalize else "pooled"


def build(model: ModelFolder, output: Output) -> onnx.ModelProto:
    """Return the graph.

    Inputs: `input_ids`, `attention_mask` and for a model of pairs `token_type_ids`, (texts, longest) int64.
    Output: `output`: (texts, size) float32; `last_hidden_state`: (texts, longest, hidden).

    Raises:
        ModelFolderError: The weights do not fit the config.
    """
    nodes = Nodes()
    layout = Padded(nodes)
    places = Places(nodes, layout.mask)
    x = graph.tokens_of(model.encoder, model.tensors(), nodes, layout, places, has_segments=model.has_segments)
    size, axes = model.encoder.hidden, ["texts"]
    if output == "last_hidden_state":
        axes = layout.tokens
    else:
        layers = layers_of(model)
        size = layers[-1].weight.shape[0] if layers else size
        x = x if output == "sparse_embedding" else pool(nodes, places, x, model.pooling)
        for layer in layers:
            x = dense(nodes, x, layer)
        if output == "sparse_embedding":
            seen = nodes.op("Mul", nodes.op("Relu", x), nodes.op("Unsqueeze", layout.mask, nodes.integers(2)))
            largest = nodes.op("ReduceMax", seen, nodes.integers(1), keepdims=0)
            x = word_weights(nodes, largest, model.logarithms)
        if output == "embedding":
            x = nodes.op("Div", x, nodes.op("ReduceL2", x, nodes.integers(1), keepdims=1))
    nodes.output(output, x)
    outside = helper.make_tensor_value_info(output, TensorProto.FLOAT, [*axes, size])
    return nodes.model("model", layout.inputs, [outside])
