"""Decide what a request body becomes: jobs that may share a call, or the bytes as they came.

Only what is plainly a request for vectors is taken apart. Whatever is not, down to a repeated key or a stray byte,
goes to the upstream verbatim and alone, so its answer, errors included, is the upstream's own.

Source: `POST /embed` of text-embeddings-inference 1.9.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from autobatch.decoding import NOT_AS_ASKED
from proxy.pieces import Allowed, Kind, Piece, Plan, Rules, plan_list

_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Inputs = str | list[str | list[_TokenId] | _TokenId]


class _EmbedBody(msgspec.Struct):
    """The fields of `POST /embed`; null is valid where None is. Unknown fields are ignored."""

    inputs: msgspec.Raw
    truncate: bool | None = None
    truncation_direction: Literal["right", "left", "Right", "Left"] = "right"
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


_FIELDS = tuple(f'"{name}"'.encode() for name in _EmbedBody.__struct_fields__)
_decode_body = msgspec.json.Decoder(_EmbedBody).decode
_decode_inputs: Callable[[msgspec.Raw], str | list[str | list[int] | int]] = msgspec.json.Decoder(_Inputs).decode
_encode_text = msgspec.json.Encoder().encode

# `application/json` or `application/*+json`, and parameters, by the rules for media types.
_NAME = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_is_json = re.compile(
    rf'application/(?:json|[!#$&^_.+0-9a-z-]+\+json)(?:;\s*{_NAME}=(?:{_NAME}|"[^"\\]*"))*',
    re.IGNORECASE | re.ASCII,
).fullmatch
_ONLY_INPUTS_BYTES = len('{"inputs": }')  # and no room for another key, or for another spelling of this one


def plan_embed(
    body: bytes, content_type: str | None, rules: Rules, allowed: Allowed, *, asks_bulk: bool = False
) -> Plan:
    """Cut one `/embed` request into jobs that the upstreams take, texts of like length together.

    Raises:
        InvalidRequest: More inputs than a request may have.
    """
    plan = None
    if is_json(content_type):
        plan = _plan_plain(body, rules, allowed, asks_bulk=asks_bulk)
    return plan or Plan([Piece(1, "verbatim", body, content_type=content_type)], asks_bulk)


def is_json(content_type: str | None) -> bool:
    """Whether the upstream would read a body of this type as JSON."""
    return content_type == "application/json" or (content_type is not None and _is_json(content_type) is not None)


def _plan_plain(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | None:
    """The jobs of a request; None when it is not plainly one for vectors."""
    try:
        request = _decode_body(body)
        inputs = _decode_inputs(request.inputs)
    except NOT_AS_ASKED:
        return None
    raw = bytes(request.inputs)
    if not inputs or _is_odd(body, raw, request.dimensions):
        return None
    options = _options(request)
    if isinstance(inputs, str):
        longest = min(rules.ruler.length(inputs), allowed.length_max)
        return Plan([Piece(1, "merge", b"[%b]" % raw, options, None, longest)], asks_bulk)
    kinds = set(map(type, inputs))
    if (int in kinds and len(kinds) > 1) or (kinds != {str} and b"-" in raw):
        return None  # mixtures with bare ids, and an id that may be `-0`, are the upstream's to judge
    if kinds == {int}:  # `[1, 2]` is one sequence of token ids, not two inputs
        return Plan([Piece(1, "solo", b"[%b]" % raw, options, None, len(inputs))], asks_bulk)
    # Token ids of a foreign vocabulary can make the upstream fail, and an empty text always does: no neighbours.
    kind: Kind = "merge" if kinds == {str} and "" not in inputs else "solo"
    return plan_list(inputs, raw, kind, options, rules, allowed, asks_bulk=asks_bulk)


def _is_odd(body: bytes, raw_inputs: bytes, dimensions: int | None) -> bool:
    """Whether the upstream may see in the body something else than our decoder, which is laxer in some corners.

    It takes the last of repeated keys, which a backslash could spell in another way; it reads `-0` as 0; and it does
    not look into strings that it skips.
    """
    if not body.isascii() and not _is_utf8(body):
        return True
    if dimensions == 0:
        return True
    if len(body) - len(raw_inputs) <= _ONLY_INPUTS_BYTES:  # nearly always
        return False
    # No key can lie partly in the inputs, so what is not in them is counted by subtraction.
    return body.count(b"\\") > raw_inputs.count(b"\\") or any(
        body.count(field) - raw_inputs.count(field) > 1 for field in _FIELDS
    )


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _options(request: _EmbedBody) -> str:
    """The options that are not defaults as JSON members in a fixed order: equal options are equal strings."""
    members = []
    if request.truncate is not None:
        members.append('"truncate":' + ("true" if request.truncate else "false"))
    if request.truncation_direction in ("left", "Left"):
        members.append('"truncation_direction":"Left"')  # the spelling that all versions know
    if request.prompt_name is not None:
        members.append('"prompt_name":' + _encode_text(request.prompt_name).decode())
    if not request.normalize:
        members.append('"normalize":false')
    if request.dimensions is not None:
        members.append(f'"dimensions":{request.dimensions}')
    return ",".join(members)
