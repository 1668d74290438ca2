"""The one description of an encoder that the graph is built from, whatever the model's family."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["gelu", "gelu_tanh", "relu", "silu", "tanh", "identity"]


@dataclass(frozen=True, slots=True)
class Rotary:
    """Positions as rotations of queries and keys.

    Attributes:
        base: Of the angles, in layers that see the whole text.
        local_base: In layers that see a window.
        window: How far a token sees to either side in those layers; None: there are none.
        global_every: Each such layer sees the whole text, counted from the first.
    """

    base: float
    local_base: float = 10_000.0
    window: int | None = None
    global_every: int = 1

    def is_local(self, layer: int) -> bool:
        """Whether this layer, counted from 0, sees only the window."""
        return self.window is not None and layer % self.global_every != 0


@dataclass(frozen=True, slots=True)
class Encoder:
    """Sizes and structure of an encoder; the defaults are BERT's.

    Attributes:
        layers: Encoder layers.
        heads: Attention heads; divides `hidden`.
        hidden: Components of a token and of a vector.
        intermediate: Components inside a feed-forward block.
        vocabulary: Token ids are 0 to vocabulary - 1.
        positions: The longest text, in tokens.
        segments: Kinds of segment, such as first and second of a pair; 0: the network has none.
        epsilon: Added to the variance in every layer norm.
        activation: Of the feed-forward blocks.
        is_gated: Whether these multiply the activated product by a second one.
        is_pre_norm: Whether each block normalises what it reads, not the sum of what it read and made.
        first_position: The row of the position embeddings for the first token.
        relative_buckets: Buckets of distances, with a score each, shared by all layers; 0: no such scores.
        rotary: Positions as rotations; None: as embeddings.
        has_attention_bias: Whether the products of the attention have a bias.
        has_inner_bias: Those of the feed-forward blocks.
        has_norm_bias: The norms.
    """

    layers: int
    heads: int
    hidden: int
    intermediate: int
    vocabulary: int
    positions: int
    segments: int = 0
    epsilon: float = 1e-12
    activation: Activation = "gelu"
    is_gated: bool = False
    is_pre_norm: bool = False
    first_position: int = 0
    relative_buckets: int = 0
    rotary: Rotary | None = None
    has_attention_bias: bool = True
    has_inner_bias: bool = True
    has_norm_bias: bool = True
