"""Decide what a `POST /v1/embeddings` becomes, and put its answer together. Pure.

1. It is the same computation as `/embed` with its defaults, so both share calls.
2. Floats go on as the upstream wrote them. For base64 each row is parsed once: 11 us for 384 floats, by `array` as by numpy.
3. Whatever is not plainly such a request goes to the upstream's own route.
4. A null is as good as an absent field wherever OpenAI's schema allows one, also where TEI refuses it.

Source: `POST /v1/embeddings` of text-embeddings-inference 1.9, which is OpenAI's but for the answer's `id`: Mistral's
clients refuse answers without one.
"""

import math
import sys
from array import array
from binascii import b2a_base64
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Literal, cast

import msgspec
import orjson

from autobatch_proxy.dialects import forms as shapes
from autobatch_proxy.dialects.strict_json import Inputs, grammar, plan_inputs, read, read_inputs
from autobatch_proxy.dialects.tei import Dimensions, or_verbatim
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.plan import Allowed, Plan, Rules
from autobatch_proxy.requests.rows import rows_in
from autobatch_proxy.requests.token_ids import TextOfIds
from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.contract.options import Options

_encode = msgspec.json.Encoder().encode


class _OpenAIBody(msgspec.Struct):
    """The fields of `POST /v1/embeddings`; null is valid where None is."""

    input: msgspec.Raw
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Dimensions | None = None
    user: str | None = None


_OPENAI = grammar(_OpenAIBody, "input")


@or_verbatim
def plan_openai(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /v1/embeddings`.

    Raises:
        InvalidRequest: More inputs than a request may have, or token ids that are not taken here.
    """
    plain = read(body, _OPENAI)
    if isinstance(plain, Alone):
        return plain
    request, raw = plain
    inputs = read_inputs(raw)
    if inputs is None:
        return Alone.INPUTS
    largest_id = _largest_id(inputs)
    if largest_id is not None and rules.text_of_ids is not None:
        inputs, largest_id = _as_texts(inputs, rules.text_of_ids), None
        raw = _encode(inputs)
    options = None if request.dimensions is None else Options(dimensions=request.dimensions)
    plan = plan_inputs(inputs, raw, options, rules, allowed, asks_bulk=asks_bulk, are_counted=True)
    plan.largest_id = largest_id
    row: Callable[[bytes], bytes] = in_base64 if request.encoding_format == "base64" else as_it_came
    plan.are_counted = largest_id is not None or not rules.ruler.is_exact(plan.characters)
    known = None if plan.are_counted else plan.length
    plan.shape = partial(_answer, row, isinstance(inputs, str), allowed.served_model or request.model or "", known)
    return plan


def _as_texts(inputs: Inputs, text_of: TextOfIds) -> str | list[str]:
    """The same inputs with a text for each list of token ids."""
    if isinstance(inputs, str):
        return inputs
    if isinstance(inputs[0], int):
        return text_of(cast("list[int]", inputs))
    return [item if isinstance(item, str) else text_of(cast("list[int]", item)) for item in inputs]


def _largest_id(inputs: Inputs) -> int | None:
    if isinstance(inputs, str):
        return None
    ids = chain.from_iterable([item] if isinstance(item, int) else item for item in inputs if not isinstance(item, str))
    return max(ids, default=None)


def _answer(
    row: Callable[[bytes], bytes],
    is_one: bool,  # noqa: FBT001 - bound by `partial`
    model: str,
    known_tokens: int | None,
    answer: bytes,
    tokens: int | None,
    request_id: str,
) -> bytes:
    """The answer's body.

    Args:
        row: Writes one embedding.
        is_one: Whether one text was asked for.
        model: Its name.
        known_tokens: Of all inputs, where they were counted here.
        answer: JSON array of rows.
        tokens: As the upstream counted them; None where it cannot: then 0, which no request has.
        request_id: Part of the answer's id.
    """
    count = known_tokens if known_tokens is not None else tokens or 0
    # Nearly always one, and then no bytes have to be looked through for where a row ends.
    rows = [shapes.only_row(answer)] if is_one else rows_in(answer)
    data = [
        b'{"object":"embedding","embedding":%b,"index":%d}' % (row(bytes(each)), place)
        for place, each in enumerate(rows)
    ]
    return b'{"id":%b,"object":"list","data":[%b],"model":%b,"usage":{"prompt_tokens":%d,"total_tokens":%d}}' % (
        _encode("embd-" + request_id),
        b",".join(data),
        _encode(model),
        count,
        count,
    )


def as_it_came(row: bytes) -> bytes:
    """Return the row."""
    return row


def in_base64(row: bytes) -> bytes:
    """Return a JSON array of numbers as little-endian float32 in base64, a JSON string.

    Raises:
        UpstreamProtocolError: It holds something else. Null is what TEI writes for NaN.
    """
    try:
        numbers = orjson.loads(row)
        if b"n" in row:
            numbers = [math.nan if number is None else number for number in numbers]
        packed = array("f", numbers)
    except (TypeError, ValueError) as exc:
        raise UpstreamProtocolError("The upstream's answer has a row that is not an array of numbers") from exc
    if sys.byteorder == "big":
        packed.byteswap()
    return b'"%b"' % b2a_base64(packed, newline=False)
