"""Layers that encoders and heads share: activations, and the layers of a head."""

import numpy as np

from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model_files.families.encoder import Activation
from autobatch_embedder.model_files.heads import Dense

_OPS = {"gelu": "Gelu", "relu": "Relu", "tanh": "Tanh"}


def activated(nodes: Nodes, x: str, activation: Activation) -> str:
    """Apply an activation."""
    if activation == "identity":
        return x
    if activation == "silu":
        return nodes.op("Mul", x, nodes.op("Sigmoid", x))
    if activation == "gelu_tanh":
        return nodes.op("Gelu", x, approximate="tanh")
    return nodes.op(_OPS[activation], x)


def dense(nodes: Nodes, x: str, layer: Dense) -> str:
    """Apply a layer of a head to the last axis of `x`."""
    x = nodes.op("MatMul", x, nodes.constant(layer.weight.T))
    if layer.bias is not None:
        x = nodes.op("Add", x, nodes.constant(layer.bias))
    x = activated(nodes, x, layer.activation)
    if layer.norm is None:
        return x
    bias = [] if layer.norm.bias is None else [nodes.constant(layer.norm.bias)]
    weight = nodes.constant(layer.norm.weight)
    return nodes.op("LayerNormalization", x, weight, *bias, axis=-1, epsilon=layer.norm.epsilon)


def word_weights(nodes: Nodes, scores: str, logarithms: int) -> str:
    """Apply SPLADE's activation, log(1 + max(x, 0)), with the logarithm taken so often."""
    x = nodes.op("Relu", scores)
    for _ in range(logarithms):
        x = nodes.op("Log", nodes.op("Add", x, nodes.constant(np.float32(1))))
    return x
