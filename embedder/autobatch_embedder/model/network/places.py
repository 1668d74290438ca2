"""What attention needs to know of places in a text: which are tokens, how far apart they are, rotations."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from autobatch_embedder.model.network.nodes import Nodes
from autobatch_embedder.model_files.families.encoder import Encoder, Rotary

_MASKED = np.float32(-1e9)  # added to a score; after the softmax exactly zero
_ALIGNED_FLOATS = 16  # 64 bytes
_FARTHEST = 128  # of relative buckets: all larger distances share the last one


class Places:
    """The places 0 to longest - 1 of a grid, computed once for all layers.

    Attributes:
        mask: (texts, longest) float32, 1 where there is a token.
    """

    def __init__(self, nodes: Nodes, mask: str) -> None:
        self.mask = mask
        self._nodes = nodes
        self._made: dict[str, str] = {}

    @property
    def as_integers(self) -> str:
        """(longest,) int64."""
        nodes = self._nodes

        def make() -> str:
            longest = nodes.op("Squeeze", nodes.op("Shape", self.mask, start=1, end=2))
            return nodes.op("Range", nodes.constant(np.int64(0)), longest, nodes.constant(np.int64(1)))

        return self._once("integers", make)

    @property
    def as_floats(self) -> str:
        """(longest,) float32."""
        return self._once("floats", lambda: self._nodes.op("Cast", self.as_integers, to=TensorProto.FLOAT))

    @property
    def padding_scores(self) -> str:
        """What is added to the scores of all layers, so that no token sees padding: (texts, 1, 1, longest)."""
        nodes = self._nodes

        def make() -> str:
            padding = nodes.op("Sub", nodes.constant(np.float32(1)), self.mask)
            return nodes.op("Unsqueeze", nodes.op("Mul", padding, nodes.constant(_MASKED)), nodes.integers(1, 2))

        return self._once("padding", make)

    def window_scores(self, window: int) -> str:
        """The same, where tokens see only so far to either side: (texts, 1, longest, longest)."""
        nodes = self._nodes

        def make() -> str:
            far = nodes.op("Greater", nodes.op("Abs", self._distances), nodes.constant(np.int64(window)))
            far = nodes.op("Mul", nodes.op("Cast", far, to=TensorProto.FLOAT), nodes.constant(_MASKED))
            return nodes.op("Add", self.padding_scores, far)

        return self._once(f"window {window}", make)

    def distance_scores(self, encoder: Encoder, buckets: npt.NDArray[np.float32]) -> str:
        """The same, with a score for each distance: (texts, heads, longest, longest).

        Args:
            encoder: Its longest text and buckets.
            buckets: (buckets, heads).
        """
        nodes = self._nodes

        def make() -> str:
            reach = encoder.positions - 1
            rows = 2 * reach + 1
            # Constants lie one after the other in a file, and the packed weights behind this one have to begin at a
            # multiple of 64 bytes (`packed_weights`): rows of distances that no text has fill it up.
            rows += -rows % _ALIGNED_FLOATS
            by_distance = buckets[_buckets(np.arange(rows) - reach, encoder.relative_buckets)]
            index = nodes.op("Add", self._distances, nodes.constant(np.int64(reach)))
            scores = nodes.op("Gather", nodes.constant(by_distance), index, axis=0)  # (longest, longest, heads)
            return nodes.op("Add", self.padding_scores, nodes.op("Transpose", scores, perm=[2, 0, 1]))

        return self._once("distances and padding", make)

    def angles(self, encoder: Encoder, rotary: Rotary, *, is_local: bool) -> tuple[str, str]:
        """The cosines and sines by which the heads of each place are rotated: (longest, 1, size) each."""
        nodes = self._nodes
        half = encoder.hidden // encoder.heads // 2
        base = rotary.local_base if is_local else rotary.base
        angles = np.arange(encoder.positions)[:, None] / base ** (np.arange(half) / half)  # (positions, half)

        def table(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> str:
            rows = np.concatenate([first, second], axis=1)[:, None].astype(np.float32)  # (positions, 1, size)
            return nodes.op("Gather", nodes.constant(rows), self.as_integers, axis=0)

        cos = self._once(f"cos {base}", lambda: table(np.cos(angles), np.cos(angles)))
        sin = self._once(f"sin {base}", lambda: table(-np.sin(angles), np.sin(angles)))
        return cos, sin

    def rotated(self, x: str, cos: str, sin: str) -> str:
        """Rotate the heads of queries or keys: (texts, longest, heads, size) of the same."""
        nodes = self._nodes
        first, second = nodes.split(x, 2)
        swapped = nodes.op("Concat", second, first, axis=-1)
        return nodes.op("Add", nodes.op("Mul", x, cos), nodes.op("Mul", swapped, sin))

    @property
    def _distances(self) -> str:
        """How far the token of a column is behind that of a row: (longest, longest) int64."""
        nodes = self._nodes

        def make() -> str:
            row = nodes.op("Unsqueeze", self.as_integers, nodes.integers(1))
            return nodes.op("Sub", self.as_integers, row)

        return self._once("distances", make)

    def _once(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _buckets(distances: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """T5's: half of the buckets for each direction, half of those for single distances, the others on a log scale."""
    half = count // 2
    exact = half // 2
    far = np.abs(distances)
    logs = np.log(np.maximum(far, 1) / exact) / np.log(_FARTHEST / exact)
    large = np.minimum(exact + (logs * (half - exact)).astype(np.int64), half - 1)
    found: npt.NDArray[np.int64] = np.where(far < exact, far, large) + half * (distances > 0)
    return found
