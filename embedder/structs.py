"""TEI's request structs: their names (for error texts), their fields, and the defaults that an array form lacks.

A field with a default may be left out of an object always, and out of the end of an array only if it is not in
`positional`: there TEI has a default for "no such key", but none for "no such position".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Struct:
    """One struct.

    Attributes:
        name: In TEI's code.
        keys: Its fields, in TEI's order.
        positional: Those that an array must have.
        nested: Fields that are structs themselves.
    """

    name: str
    keys: tuple[str, ...]
    positional: frozenset[str]
    nested: Mapping[str, "Struct"] = field(default_factory=dict)


def _struct(name: str, keys: str, positional: str, **nested: Struct) -> Struct:
    return Struct(name, tuple(keys.split()), frozenset(positional.split()), nested)


_RAW = "inputs truncate truncation_direction prompt_name"

EMBED = _struct("EmbedRequest", f"{_RAW} normalize dimensions", "inputs prompt_name dimensions")
EMBED_ALL = _struct("EmbedAllRequest", _RAW, "inputs prompt_name")
EMBED_SPARSE = _struct("EmbedSparseRequest", _RAW, "inputs prompt_name")
OPENAI = _struct("OpenAICompatRequest", "input model user encoding_format dimensions", "input model user dimensions")
TOKENIZE = _struct("TokenizeRequest", "inputs add_special_tokens prompt_name", "inputs prompt_name")
DECODE = _struct("DecodeRequest", "ids skip_special_tokens", "ids")
PREDICT = _struct("PredictRequest", "inputs truncate truncation_direction raw_scores", "inputs truncate")
RERANK = _struct(
    "RerankRequest", "query texts truncate truncation_direction raw_scores return_text", positional="query texts"
)
VERTEX = _struct("VertexRequest", "instances", "instances")
SIMILARITY_INPUT = _struct("SimilarityInput", "source_sentence sentences", "source_sentence sentences")
SIMILARITY_PARAMETERS = _struct(
    "SimilarityParameters", "truncate truncation_direction prompt_name", positional="truncate prompt_name"
)
SIMILARITY = _struct(
    "SimilarityRequest",
    "inputs parameters",
    "inputs parameters",
    inputs=SIMILARITY_INPUT,
    parameters=SIMILARITY_PARAMETERS,
)
