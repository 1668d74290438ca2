"""TEI's request structs: their names (for error texts), their fields, and the defaults that an array form lacks.

A field with a default may always be left out of an object, but out of the end of an array only if it is not in
`positional`: there TEI has a default for "no such key", but none for "no such position".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from autobatch_embedder.bodies.requests import Direction

Type = Literal[
    "Input",
    "InputIds",
    "TokenizeInput",
    "pairs",
    "text",
    "texts",
    "values",
    "struct",
    "struct?",
    "bool",
    "bool?",
    "text?",
    "size?",
    "direction",
    "encoding",
]
"""What a field holds. A `?` allows null; those up to `struct` must be there, the others have a default."""

DIRECTIONS: dict[str, Direction] = {"Left": "left", "left": "left", "Right": "right", "right": "right"}
ENCODINGS = {"float": False, "base64": True}  # and whether it is base64
_REQUIRED = frozenset(get_args(Type)[:8])


@dataclass(frozen=True, slots=True)
class Struct:
    """One struct.

    Attributes:
        name: In TEI's code.
        types: Its fields, in TEI's order.
        positional: The fields that an array must have.
        nested: Fields that are structs themselves.
    """

    name: str
    types: Mapping[str, Type]
    positional: frozenset[str]
    nested: Mapping[str, "Struct"] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of its fields."""
        return tuple(self.types)

    @property
    def required(self) -> frozenset[str]:
        """The fields that an object must have."""
        return frozenset(key for key, kind in self.types.items() if kind in _REQUIRED)


def _struct(name: str, types: Mapping[str, Type], positional: str, **nested: Struct) -> Struct:
    return Struct(name, types, frozenset(positional.split()), nested)


_CUT: dict[str, Type] = {"truncate": "bool?", "truncation_direction": "direction"}
_RAW: dict[str, Type] = {"inputs": "Input", **_CUT, "prompt_name": "text?"}

EMBED = _struct("EmbedRequest", {**_RAW, "normalize": "bool", "dimensions": "size?"}, "inputs prompt_name dimensions")
EMBED_ALL = _struct("EmbedAllRequest", _RAW, "inputs prompt_name")
EMBED_SPARSE = _struct("EmbedSparseRequest", _RAW, "inputs prompt_name")
OPENAI = _struct(
    "OpenAICompatRequest",
    {"input": "Input", "model": "text?", "user": "text?", "encoding_format": "encoding", "dimensions": "size?"},
    "input model user dimensions",
)
TOKENIZE = _struct(
    "TokenizeRequest",
    {"inputs": "TokenizeInput", "add_special_tokens": "bool", "prompt_name": "text?"},
    "inputs prompt_name",
)
DECODE = _struct("DecodeRequest", {"ids": "InputIds", "skip_special_tokens": "bool"}, "ids")
PREDICT = _struct("PredictRequest", {"inputs": "pairs", **_CUT, "raw_scores": "bool"}, "inputs truncate")
RERANK = _struct(
    "RerankRequest",
    {"query": "text", "texts": "texts", **_CUT, "raw_scores": "bool", "return_text": "bool"},
    "query texts",
)
VERTEX = _struct("VertexRequest", {"instances": "values"}, "instances")
SIMILARITY_INPUT = _struct(
    "SimilarityInput", {"source_sentence": "text", "sentences": "texts"}, "source_sentence sentences"
)
SIMILARITY_PARAMETERS = _struct("SimilarityParameters", {**_CUT, "prompt_name": "text?"}, "truncate prompt_name")
SIMILARITY = _struct(
    "SimilarityRequest",
    {"inputs": "struct", "parameters": "struct?"},
    "inputs parameters",
    inputs=SIMILARITY_INPUT,
    parameters=SIMILARITY_PARAMETERS,
)
