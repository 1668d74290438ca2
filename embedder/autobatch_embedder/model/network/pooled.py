"""From the vectors of each text's tokens to one vector."""

import numpy as np
from onnx import TensorProto

from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model.network.places import Places
from autobatch_embedder.model_files.modules import Pooling

_LOWEST = np.float32(-3e38)


def pool(nodes: Nodes, places: Places, grid: str, pooling: Pooling) -> str:
    """Pool (texts, longest, hidden) to (texts, hidden). Scores of words are pooled elsewhere, so for them it is any."""
    mask = places.mask
    if pooling == "cls":
        return nodes.op("Gather", grid, nodes.constant(np.int64(0)), axis=1)
    if pooling == "max":
        is_token = nodes.op("Cast", nodes.op("Unsqueeze", mask, nodes.integers(2)), to=TensorProto.BOOL)
        seen = nodes.op("Where", is_token, grid, nodes.constant(_LOWEST))
        return nodes.op("ReduceMax", seen, nodes.integers(1), keepdims=0)
    axis = nodes.integers(1)
    weights = mask
    if pooling == "weighted-mean":
        weights = nodes.op("Mul", mask, nodes.op("Add", places.as_floats, nodes.constant(np.float32(1))))
    if pooling == "last-token":
        last = nodes.op("Sub", nodes.op("ReduceSum", mask, axis, keepdims=1), nodes.constant(np.float32(1)))
        weights = nodes.op("Cast", nodes.op("Equal", places.as_floats, last), to=TensorProto.FLOAT)
    total = nodes.op("Squeeze", nodes.op("MatMul", nodes.op("Unsqueeze", weights, axis), grid), axis)
    return nodes.op("Div", total, nodes.op("ReduceSum", weights, axis, keepdims=1))
