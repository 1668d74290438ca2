"""Read the bodies of TEI's routes whose inputs may share a call. Pure.

Only a strict body is taken apart. Any other, such as one with a repeated key, goes to the upstream alone and unchanged, so
its answer, errors included, is the upstream's own.

Source: the routes of text-embeddings-inference 1.9.
"""

from typing import Annotated, Any, Literal

import msgspec

from autobatch_proxy.dialects.forms import all_embeddings, one_embedding, only_row
from autobatch_proxy.dialects.strict_json import Grammar, grammar, read, read_inputs
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.asked import Asked
from autobatch_shared.contract.errors import NOT_AS_ASKED
from autobatch_shared.contract.options import Options, unless_default

Dimensions = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]  # 0 is refused by TEI, and `-0` in other words


class _Truncation(msgspec.Struct, kw_only=True):
    """Fields of every route here; null is valid where None is."""

    truncate: bool | None = None
    truncation_direction: Literal["right", "left", "Right", "Left"] = "right"


class _TokensOptions(_Truncation, kw_only=True):
    """The fields of `POST /embed_all` and `/embed_sparse` beside the inputs."""

    prompt_name: str | None = None


class _EmbedOptions(_TokensOptions, kw_only=True):
    """The fields of `POST /embed` beside the inputs."""

    normalize: bool = True
    dimensions: Dimensions | None = None


class _TokensBody(_TokensOptions, kw_only=True):
    inputs: msgspec.Raw


class _EmbedBody(_EmbedOptions, kw_only=True):
    inputs: msgspec.Raw


class _InputBody(_EmbedOptions, kw_only=True):
    """The body that clients of some proxies send, with the inputs as `input`. If it has `inputs` too, those count."""

    input: msgspec.Raw
    inputs: Any = msgspec.UNSET


class _PredictBody(_Truncation, kw_only=True):
    inputs: msgspec.Raw
    raw_scores: bool = False


_TOKENS = grammar(_TokensBody)
_EMBED = grammar(_EmbedBody)
_INPUT = grammar(_InputBody, "input")
_PREDICT = grammar(_PredictBody)
_decode_predict_inputs: Any = msgspec.json.Decoder(str | list[str | list[str]]).decode


def read_embed(body: bytes) -> Asked | Alone:
    """Read a `POST /embed`, also one whose inputs are called `input`."""
    asked = _read(body, _EMBED, "/embed")
    return _read_input(body) if asked is Alone.FIELDS else asked


def read_embed_all(body: bytes) -> Asked | Alone:
    """Read a `POST /embed_all`: a vector for each token."""
    return _read(body, _TOKENS, "/embed_all")


def read_embed_sparse(body: bytes) -> Asked | Alone:
    """Read a `POST /embed_sparse`: an index and a value for each component that is not zero."""
    return _read(body, _TOKENS, "/embed_sparse")


def read_predict(body: bytes) -> Asked | Alone:
    """Read a `POST /predict`: texts and pairs of texts."""
    strict = read(body, _PREDICT)
    if isinstance(strict, Alone):
        return strict
    try:
        inputs = _decode_predict_inputs(strict.raw)
    except NOT_AS_ASKED:
        return Alone.INPUTS
    is_one = isinstance(inputs, str) or all(isinstance(item, str) for item in inputs)
    items, raw = _as_batch(inputs, strict.raw) if is_one else (inputs, strict.raw)
    if not all(isinstance(item, list) and len(item) in (1, 2) for item in items):
        return Alone.INPUTS
    request = strict.request
    options = Options(
        truncate=request.truncate, truncation_direction=direction_of(request), raw_scores=request.raw_scores
    )
    return Asked(
        "/predict",
        ["".join(item) for item in items],  # what is measured of a pair is both its texts
        raw,
        unless_default(options),
        form=only_row if is_one else None,
        is_native=not is_one,
        alone=Alone.EMPTY_TEXT if any("" in item for item in items) else None,
    )


def _as_batch(one: str | list[str], raw: bytes) -> tuple[list[list[str]], bytes]:
    """A text, `["text"]` or the pair `["a", "b"]` as the batch of one that it is equal to, and the same as JSON."""
    return ([[one]], b"[[%b]]" % raw) if isinstance(one, str) else ([one], b"[%b]" % raw)


def read_verbatim(_body: bytes) -> Alone:
    """Read nothing: the route takes no inputs that could share a call."""
    return Alone.ROUTE


def _read(body: bytes, fields: Grammar, route: str) -> Asked | Alone:
    strict = read(body, fields)
    if isinstance(strict, Alone):
        return strict
    inputs = read_inputs(strict.raw)
    if inputs is None:
        return Alone.INPUTS
    options = _options(strict.request) if strict.has_room else None  # nearly every body has none: 0.3 us
    return Asked(route, inputs, strict.raw, options)


def _read_input(body: bytes) -> Asked | Alone:
    """Read a request that calls its inputs `input`: one text, or several."""
    strict = read(body, _INPUT)
    if isinstance(strict, Alone):
        return strict
    if strict.request.inputs is not msgspec.UNSET:
        return Alone.FIELDS
    inputs = read_inputs(strict.raw)
    if inputs is None or (not isinstance(inputs, str) and set(map(type, inputs)) != {str}):
        return Alone.INPUTS
    form = one_embedding if isinstance(inputs, str) else all_embeddings
    return Asked("/embed", inputs, strict.raw, _options(strict.request), form, is_native=False)


def direction_of(request: Any) -> Literal["right", "left"]:
    """The end at which a request has its inputs cut."""
    return "left" if request.truncation_direction in ("left", "Left") else "right"


def _options(request: _TokensOptions) -> Options | None:
    normalize, dimensions = True, None
    if isinstance(request, _EmbedOptions):
        normalize, dimensions = request.normalize, request.dimensions
    return unless_default(
        Options(
            truncate=request.truncate,
            truncation_direction=direction_of(request),
            prompt_name=request.prompt_name,
            normalize=normalize,
            dimensions=dimensions,
        )
    )
