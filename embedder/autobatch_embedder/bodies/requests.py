"""What a client asked for, as checked values; `bodies` makes them. Free of model knowledge.

What needs the model (lengths, prompts, the size of vectors) is checked later, in `tokens` and `engine`.
"""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["left", "right"]
TextPair = tuple[str, str]
Input = str | list[int] | TextPair
"""One text, one list of token ids, or for scores two texts."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """A request for vectors: /embed has all of these fields, the other routes some of them.

    Attributes:
        inputs: In the client's order; exactly one if `is_batch` is false.
        is_batch: Whether the client sent a list.
        truncate: None: the server's setting.
        direction: The end that is cut off when an input is too long.
        prompt_name: Prompt to put before every text.
        normalize: Scale every vector to length 1.
        dimensions: Components to keep, from the first; None: all.
    """

    inputs: tuple[Input, ...]
    is_batch: bool = False
    truncate: bool | None = None
    direction: Direction = "right"
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class OpenAiRequest:
    """The body of POST /v1/embeddings: what to compute, and whether vectors are wanted as base64."""

    embed: EmbedRequest
    is_base64: bool = False


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """The body of POST /tokenize; fields as in EmbedRequest."""

    inputs: tuple[str, ...]
    is_batch: bool = False
    add_special_tokens: bool = True
    prompt_name: str | None = None


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """The body of POST /decode; fields as in EmbedRequest."""

    ids: tuple[list[int], ...]
    is_batch: bool = False
    skip_special_tokens: bool = True


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """The body of POST /predict: texts and pairs; fields as in EmbedRequest.

    Attributes:
        raw_scores: Whether scores are wanted as they come from the network.
    """

    inputs: tuple[tuple[str, ...], ...]
    is_batch: bool = False
    truncate: bool | None = None
    direction: Direction = "right"
    raw_scores: bool = False


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """The body of POST /rerank; fields as in PredictRequest.

    Attributes:
        return_text: Whether the answer repeats the texts.
    """

    query: str
    texts: tuple[str, ...]
    truncate: bool | None = None
    direction: Direction = "right"
    raw_scores: bool = False
    return_text: bool = False
