"""How the texts of one pass lie in the graph's inputs: packed, without padding, or padded as other servers send them.

Between attentions a network computes each token alone, and there a layout has no padding if it can do without. For the
attention and the pooling, which compare the tokens of one text, it lays the texts out as a grid: one row a text, as
long as the longest.
"""

from typing import Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper

from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model.network.packing import SECOND_SEGMENT


class OverGrid(Protocol):
    """What is computed on a grid."""

    def __call__(self, grid: str, *, has_padding: bool) -> str:
        """Return another grid; with padding, the first may have places without a token."""


class Layout(Protocol):
    """What the graph needs to know of a layout.

    Attributes:
        inputs: Of the graph.
        tokens: Names of the axes in which the tokens lie between attentions.
        ids: Token ids, in these axes, int64.
        positions: Each token's place in its text, from 0; in these axes, or those that broadcast to them.
        mask: (texts, longest) float32, 1 where the grid has a token.
    """

    inputs: list[onnx.ValueInfoProto]
    tokens: list[str]
    ids: str
    positions: str
    mask: str

    def to_grid(self, x: str) -> str:
        """Lay values of tokens out as (texts, longest, components); without meaning where there is no token."""

    def over_grid(self, x: str, compute: OverGrid) -> str:
        """Compute something on the grid of `x`, and return it as the tokens lie between attentions.

        Args:
            x: Values of tokens.
            compute: Called for each way to lay out a grid, so what others need, too, is made before.
        """

    def segments(self, nodes: Nodes) -> tuple[str, str]:
        """Each token's segment, 0 or 1, and its id, where the texts are pairs."""


class Packed:
    """All tokens in one row, text after text: `packing.pack` makes these inputs.

    Where all texts are equally long the row is the grid, and nothing is gathered or masked: one text of 256 tokens takes
    a sixth less CPU, 15 of 17 tokens a tenth (docs/benchmarks/embedder-engine.md).
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.tokens = ["tokens"]
        self.ids, self.positions = "input_ids", "positions"
        self.mask = nodes.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        self.inputs = [
            _int64("input_ids", "tokens"),
            _int64("positions", "tokens"),
            _int64("grid_tokens", "texts", "longest"),
            _int64("token_places", "tokens"),
            _int64("attention_mask", "texts", "longest"),
            helper.make_tensor_value_info("is_even", TensorProto.BOOL, []),
        ]
        self._sizes = nodes.op("Concat", nodes.op("Shape", self.mask), nodes.integers(-1), axis=0)

    def to_grid(self, x: str) -> str:
        """One gather. Where the grid has no token it repeats the first one."""
        return self._nodes.op("Gather", x, "grid_tokens", axis=0)

    def over_grid(self, x: str, compute: OverGrid) -> str:
        """Reshape where all texts are equally long, otherwise gather."""
        nodes = self._nodes

        def even() -> str:
            return nodes.op("Flatten", compute(nodes.op("Reshape", x, self._sizes), has_padding=False), axis=2)

        def uneven() -> str:
            flat = nodes.op(
                "Flatten", compute(self.to_grid(x), has_padding=True), axis=2
            )  # (texts * longest, components)
            return nodes.op("Gather", flat, "token_places", axis=0)

        return nodes.either("is_even", even, uneven)

    def segments(self, nodes: Nodes) -> tuple[str, str]:
        """From the ids, in which `SECOND_SEGMENT` is added to those of the second text."""
        offset = nodes.constant(np.int64(SECOND_SEGMENT))
        second = nodes.op("Cast", nodes.op("GreaterOrEqual", self.ids, offset), to=TensorProto.INT64)
        return second, nodes.op("Sub", self.ids, nodes.op("Mul", second, offset))


class Padded:
    """The grid itself, as in other servers' models: every text as long as the longest."""

    def __init__(self, nodes: Nodes) -> None:
        self.tokens = ["texts", "longest"]
        self.ids = "input_ids"
        self.mask = nodes.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        longest = nodes.op("Squeeze", nodes.op("Shape", self.ids, start=1, end=2))
        self.positions = nodes.op("Range", nodes.constant(np.int64(0)), longest, nodes.constant(np.int64(1)))
        self.inputs = [_int64(name, *self.tokens) for name in ("input_ids", "attention_mask")]

    def to_grid(self, x: str) -> str:
        """It is the grid."""
        return x

    def over_grid(self, x: str, compute: OverGrid) -> str:
        """It is the grid."""
        return compute(x, has_padding=True)

    def segments(self, nodes: Nodes) -> tuple[str, str]:  # noqa: ARG002 - the other layout needs them
        """An input of its own, as in other servers' models."""
        self.inputs.append(_int64("token_type_ids", *self.tokens))
        return "token_type_ids", self.ids


def _int64(name: str, *axes: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, list(axes))
