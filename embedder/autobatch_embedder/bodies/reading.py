"""The body of each POST as a request. Pure.

A body that is not JSON is TEI's plain-text 400, a value of the wrong type its plain-text 422. An instance of /vertex
is read after the body, so its errors are TEI's own 422.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from autobatch_embedder import errors
from autobatch_embedder.bodies import json_body, structs
from autobatch_embedder.bodies.fields import Fields
from autobatch_embedder.bodies.json_values import ShapeError
from autobatch_embedder.bodies.requests import (
    DecodeRequest,
    Direction,
    EmbedRequest,
    OpenAiRequest,
    PredictRequest,
    RerankRequest,
    TokenizeRequest,
)
from autobatch_embedder.bodies.structs import Struct

R = TypeVar("R")


def embed(body: bytes) -> EmbedRequest:
    """Read the body of POST /embed.

    Raises:
        BodyError: 400 when it is not JSON, 422 when a field is missing, repeated or of the wrong type. So do all below.
    """
    return _read(body, structs.EMBED, _embed)


def embed_all(body: bytes) -> EmbedRequest:
    """Read the body of POST /embed_all."""
    return _read(body, structs.EMBED_ALL, _embed)


def embed_sparse(body: bytes) -> EmbedRequest:
    """Read the body of POST /embed_sparse."""
    return _read(body, structs.EMBED_SPARSE, _embed)


def openai(body: bytes) -> OpenAiRequest:
    """Read the body of POST /v1/embeddings."""
    return _read(body, structs.OPENAI, _openai)


def similarity(body: bytes) -> EmbedRequest:
    """Read the body of POST /similarity as a request for the vectors to compare: source first, not normalised."""
    return _read(body, structs.SIMILARITY, _similarity)


def tokenize(body: bytes) -> TokenizeRequest:
    """Read the body of POST /tokenize."""
    return _read(body, structs.TOKENIZE, _tokenize)


def decode(body: bytes) -> DecodeRequest:
    """Read the body of POST /decode."""
    return _read(body, structs.DECODE, _decode)


def predict(body: bytes) -> PredictRequest:
    """Read the body of POST /predict."""
    return _read(body, structs.PREDICT, _predict)


def rerank(body: bytes) -> RerankRequest:
    """Read the body of POST /rerank."""
    return _read(body, structs.RERANK, _rerank)


def vertex(body: bytes, *, is_of_classifier: bool = False) -> list[EmbedRequest | PredictRequest | RerankRequest]:
    """Read the body of POST /vertex: its instances, each as a request to rank, or else as one that the model is for.

    Raises:
        BodyError: The body is not a list of instances.
        TeiError: An instance matches neither kind.
    """
    read: Callable[[Any], EmbedRequest | PredictRequest] = _predict_of if is_of_classifier else _embed_of
    return [_instance(value, read) for value in _read(body, structs.VERTEX, lambda f: f.sequence("instances"))]


def _read(body: bytes, struct: Struct, read: Callable[[Fields], R]) -> R:
    value = json_body.plain(body, struct)
    if value is not json_body.ODD:
        try:
            return read(Fields(value, struct))
        except ShapeError:
            pass  # its error includes the position in the text
    return read(Fields(json_body.in_full(body, struct), struct))


def _instance(value: Any, read: Callable[[Any], R]) -> R | RerankRequest:
    try:
        return _rerank(Fields(value, structs.RERANK))
    except ShapeError:
        pass  # as in TEI: any error in it makes it a request of the other kind
    try:
        return read(value)
    except ShapeError as error:
        raise errors.bad_instance(error.reason) from error


def _embed_of(value: Any) -> EmbedRequest:
    return _whole(value, structs.EMBED, _embed)


def _predict_of(value: Any) -> PredictRequest:
    return _whole(value, structs.PREDICT, _predict)


def _whole(value: Any, struct: Struct, read: Callable[[Fields], R]) -> R:
    if isinstance(value, list):
        read(Fields(value[: len(struct.keys)], struct))  # TEI reads the fields before it finds that there are more
    return read(Fields(value, struct))


def _embed(fields: Fields) -> EmbedRequest:
    # /embed_all and /embed_sparse have neither of the last two, so there they are always the defaults.
    inputs, is_batch = fields.inputs("inputs")
    return EmbedRequest(
        inputs=inputs,
        is_batch=is_batch,
        truncate=fields.boolean_or_null("truncate"),
        direction=_direction(fields),
        prompt_name=fields.text_or_null("prompt_name"),
        normalize=fields.boolean("normalize", default=True),
        dimensions=fields.size_or_null("dimensions"),
    )


def _openai(fields: Fields) -> OpenAiRequest:
    inputs, is_batch = fields.inputs("input")
    for ignored in ("model", "user"):
        fields.text_or_null(ignored)
    is_base64 = fields.choice("encoding_format", structs.ENCODINGS, default=False)
    return OpenAiRequest(EmbedRequest(inputs, is_batch, dimensions=fields.size_or_null("dimensions")), is_base64)


def _similarity(fields: Fields) -> EmbedRequest:
    texts, parameters = fields.nested("inputs"), fields.nested_or_null("parameters")
    return EmbedRequest(
        inputs=(texts.text("source_sentence"), *texts.text_list("sentences")),
        is_batch=True,
        truncate=parameters.boolean_or_null("truncate"),
        direction=_direction(parameters),
        prompt_name=parameters.text_or_null("prompt_name"),
        normalize=False,
    )


def _tokenize(fields: Fields) -> TokenizeRequest:
    inputs, is_batch = fields.texts("inputs")
    return TokenizeRequest(
        inputs=inputs,
        is_batch=is_batch,
        add_special_tokens=fields.boolean("add_special_tokens", default=True),
        prompt_name=fields.text_or_null("prompt_name"),
    )


def _decode(fields: Fields) -> DecodeRequest:
    ids, is_batch = fields.ids("ids")
    return DecodeRequest(ids, is_batch, skip_special_tokens=fields.boolean("skip_special_tokens", default=True))


def _predict(fields: Fields) -> PredictRequest:
    inputs, is_batch = fields.pairs("inputs")
    return PredictRequest(
        inputs,
        is_batch,
        truncate=fields.boolean_or_null("truncate"),
        direction=_direction(fields),
        raw_scores=fields.boolean("raw_scores", default=False),
    )


def _rerank(fields: Fields) -> RerankRequest:
    return RerankRequest(
        fields.text("query"),
        fields.text_list("texts"),
        truncate=fields.boolean_or_null("truncate"),
        direction=_direction(fields),
        raw_scores=fields.boolean("raw_scores", default=False),
        return_text=fields.boolean("return_text", default=False),
    )


def _direction(fields: Fields) -> Direction:
    return fields.choice("truncation_direction", structs.DIRECTIONS, default="right")
