"""The nodes and constants of an ONNX graph while it is being built. A value is its name."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OF_ONNXRUNTIME = "com.microsoft"
"""The domain of the operators that only onnxruntime has."""
_OPSETS = {"": 20, OF_ONNXRUNTIME: 1}  # 20 is the first with Gelu
IR_VERSION = 10  # newer than the opset needs, older than onnx's own default, which onnxruntime may not know yet


class Nodes:
    """Adds one node or constant at a time and returns the value that it makes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._made = 0
        self._domains = {""}  # a graph for another server has none of onnxruntime's

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        return self._add(kind, inputs, [self._name()], attributes)[0]

    def either(self, condition: str, then: Callable[[], str], otherwise: Callable[[], str]) -> str:
        """Add two ways to a value, of which one is computed. What both need is made before: neither sees the other's."""
        branches = {"then_branch": self._branch(then), "else_branch": self._branch(otherwise)}
        return self.op("If", condition, **branches)

    def split(self, x: str, count: int) -> list[str]:
        """Cut `x` along its last axis into equal parts."""
        name = self._name()
        outputs = [f"{name}_{part}" for part in range(count)]
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
        opsets = [helper.make_opsetid(domain, _OPSETS[domain]) for domain in sorted(self._domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)

    def _branch(self, make: Callable[[], str]) -> onnx.GraphProto:
        """The nodes that `make` adds; constants stay in the whole graph."""
        outside, self._nodes = self._nodes, []
        value = onnx.ValueInfoProto(name=make())  # its type and shape follow from the nodes
        branch = helper.make_graph(self._nodes, "branch", [], [value])
        self._nodes = outside
        return branch

    def _name(self) -> str:
        self._made += 1
        return f"value_{self._made}"

    def _add(self, kind: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]) -> list[str]:
        self._nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        self._domains.add(self._nodes[-1].domain)
        return outputs
