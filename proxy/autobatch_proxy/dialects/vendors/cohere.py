"""Read `POST /v2/embed` and `/v1/embed`, Cohere's embeddings, and put their answers together. Pure.

    {"model": "m", "texts": ["text", ...], "input_type": "search_query", "embedding_types": ["float"]}
    -> {"id": "...", "embeddings": {"float": [[...], ...]}, "texts": [...], "meta": {"billed_units": {"input_tokens": 4}, ...}}

1. `/v1/embed` without `embedding_types` answers `"embeddings": [[...], ...]`.
2. `float` and `base64` are the upstream's numbers. `int8`, `uint8`, `binary` and `ubinary` are refused: their scale is that of
   Cohere's own models, and is not published.
3. Refused is whatever else would be another vector if it were left out: images, `max_tokens`. `priority` is not looked at.

Source: Cohere's API and the SDK `cohere` 7.3. `truncate` is END unless it is said otherwise.
"""

from functools import partial
from typing import Any, Literal

import msgspec

from autobatch_proxy.dialects.error_shapes import ErrorShape, message_of
from autobatch_proxy.dialects.openai import as_it_came, in_base64
from autobatch_proxy.dialects.strict_json import decode_or_refuse
from autobatch_proxy.dialects.tei import Dimensions
from autobatch_proxy.requests.asked import AnswerFacts, Asked
from autobatch_proxy.requests.joining import rows_in
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest
from autobatch_shared.contract.options import Options

Kind = Literal["float", "base64", "int8", "uint8", "binary", "ubinary"]
WRITERS = {"float": as_it_came, "base64": in_base64}


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class _Input(msgspec.Struct):
    content: list[_Part]


class _CohereEmbed(msgspec.Struct):
    """Null means the same as an absent field."""

    model: str | None = None
    texts: list[str] | None = None
    inputs: list[_Input] | None = None
    images: list[Any] | None = None
    input_type: str | None = None
    embedding_types: list[Kind] | None = None
    output_dimension: Dimensions | None = None
    max_tokens: int | None = None
    truncate: Literal["NONE", "START", "END"] | None = None


_decode = msgspec.json.Decoder(_CohereEmbed).decode
_encode = msgspec.json.Encoder().encode


def read_embed_v2(body: bytes) -> Asked:
    """Read a `POST /v2/embed`.

    Raises:
        NotJson, EmptyInput: As the names say.
        InvalidRequest: It has another shape, or asks for what is not done here.
    """
    request = decode_or_refuse(_decode, body)
    return _asked(request, request.embedding_types or ["float"], 2)


def read_embed_v1(body: bytes) -> Asked:
    """Read a `POST /v1/embed`; what it raises is what `read_embed_v2` raises."""
    request = decode_or_refuse(_decode, body)
    return _asked(request, request.embedding_types or [], 1)


def _asked(request: _CohereEmbed, kinds: list[Kind], version: int) -> Asked:
    for kind in kinds:
        if kind not in WRITERS:
            raise InvalidRequest(f"`embedding_types` may have `float` and `base64`; `{kind}` is not available")
    if request.images or request.input_type == "image":
        raise InvalidRequest("`images` are not available: the model takes texts")
    if request.max_tokens is not None:
        raise InvalidRequest("`max_tokens` is not available: `truncate` cuts at the model's own limit")
    texts = _texts(request)
    raw = _encode(texts)
    options = Options(
        truncate=request.truncate != "NONE",
        truncation_direction="left" if request.truncate == "START" else "right",
        dimensions=request.output_dimension,
    )
    return Asked(
        "/embed",
        texts,
        raw,
        options,
        partial(_answer, kinds, raw, version),
        is_native=False,
        model=request.model,
        counts_tokens=True,
        input_type=request.input_type,
    )


def _texts(request: _CohereEmbed) -> list[str]:
    texts = request.texts
    if texts is None and request.inputs is not None:
        texts = [_text(each) for each in request.inputs]
    if texts is None:
        raise InvalidRequest("Object missing required field `texts`")
    if not texts:
        raise EmptyInput("`texts` cannot be empty")
    return texts


def _text(item: _Input) -> str:
    if len(item.content) == 1 and item.content[0].type == "text" and item.content[0].text is not None:
        return item.content[0].text
    raise InvalidRequest("`inputs` may have one text each: images and mixtures are not available")


def _answer(kinds: list[Kind], texts: bytes, version: int, rows: bytes, facts: AnswerFacts) -> bytes:
    return (
        b'{"id":%b,"response_type":"%b","embeddings":%b,"texts":%b,'
        b'"meta":{"api_version":{"version":"%d"},"billed_units":{"input_tokens":%d}}}'
    ) % (
        _encode(facts.request_id),
        b"embeddings_by_type" if kinds else b"embeddings_floats",
        b"{%b}" % b",".join([_written(kind, rows) for kind in dict.fromkeys(kinds)]) if kinds else rows,
        texts,
        version,
        facts.tokens or 0,
    )


def _written(kind: Kind, rows: bytes) -> bytes:
    """The embeddings of one type, with its name."""
    write = WRITERS[kind]
    return b'"%b":[%b]' % (kind.encode(), b",".join([write(bytes(row)) for row in rows_in(rows)]))


def _as_cohere(status: int, body: bytes) -> bytes:
    return _encode({"message": message_of(status, body)})


COHERE_ERRORS = ErrorShape(_as_cohere, fills_refusals=True)
