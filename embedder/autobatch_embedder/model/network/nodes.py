"""The nodes and constants of an ONNX graph while it is being built. A value is its name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 20  # the first with Gelu
IR_VERSION = 10  # newer than the opset needs, older than onnx's own default, which onnxruntime may not know yet


class Nodes:
    """Adds one node or constant at a time and returns the value that it makes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        return self._add(kind, inputs, [f"value_{len(self._nodes)}"], attributes)[0]

    def split(self, x: str, count: int) -> list[str]:
        """Cut `x` along its last axis into equal parts."""
        outputs = [f"value_{len(self._nodes)}_{part}" for part in range(count)]
        return self._add("Split", [x], outputs, {"axis": -1, "num_outputs": count})

    def output(self, name: str, x: str) -> None:
        """Give a value the name under which the graph returns it."""
        self._add("Identity", [x], [name], {})

    def integers(self, *values: int) -> str:
        """Add a list of integers."""
        return self.constant(np.array(values, dtype=np.int64))

    def constant(self, value: Any) -> str:
        """Add an array or a scalar of numpy."""
        name = f"constant_{len(self._constants)}"
        # np.array, not np.ascontiguousarray: the latter makes a scalar one-dimensional, which Sub and Mul broadcast
        # but which changes the meaning of others.
        self._constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def model(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """Return all that was added as a model."""
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _add(self, kind: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]) -> list[str]:
        self._nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs
