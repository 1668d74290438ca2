"""Decide what a `POST /predict` becomes: texts and pairs of texts that may share a call, or the bytes as they came.

Source: `POST /predict` of text-embeddings-inference 1.9.
"""

from typing import Any, Literal

import msgspec

from autobatch_proxy.dialects import forms as shapes
from autobatch_proxy.dialects.strict_json import grammar, read
from autobatch_proxy.dialects.tei import direction_of, or_verbatim
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.plan import Allowed, Plan, Rules, plan_list
from autobatch_shared.contract.decoding import NOT_AS_ASKED
from autobatch_shared.contract.options import Options, unless_default

ROUTE = "/predict"


class _PredictBody(msgspec.Struct):
    """The fields of `POST /predict`; null is valid where None is."""

    inputs: msgspec.Raw
    truncate: bool | None = None
    truncation_direction: Literal["right", "left", "Right", "Left"] = "right"
    raw_scores: bool = False


_PREDICT = grammar(_PredictBody)
_decode_inputs: Any = msgspec.json.Decoder(str | list[str | list[str]]).decode


@or_verbatim
def plan_predict(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /predict`."""
    plain = read(body, _PREDICT)
    if isinstance(plain, Alone):
        return plain
    try:
        inputs = _decode_inputs(plain.raw)
    except NOT_AS_ASKED:
        return Alone.INPUTS
    raw = plain.raw
    is_one = isinstance(inputs, str) or all(isinstance(item, str) for item in inputs)
    if is_one:  # a text, `["text"]` or the pair `["a", "b"]`: as the batch of one that it is equal to
        inputs = [[inputs]] if isinstance(inputs, str) else [inputs]
        raw = b"[[%b]]" % raw if raw.startswith(b'"') else b"[%b]" % raw
    if not all(isinstance(item, list) and len(item) in (1, 2) for item in inputs):
        return Alone.INPUTS
    request = plain.request
    options = unless_default(
        Options(truncate=request.truncate, truncation_direction=direction_of(request), raw_scores=request.raw_scores)
    )
    has_empty = any(not text for item in inputs for text in item)
    # What is measured of a pair is both its texts.
    texts = ["".join(item) for item in inputs]
    kind: Literal["merge", "solo"] = "solo" if has_empty else "merge"
    plan = plan_list(texts, raw, kind, options, rules, allowed, asks_bulk=asks_bulk)
    plan.route = ROUTE
    plan.alone = Alone.EMPTY_TEXT if has_empty else None
    plan.shape = shapes.only_row if is_one else None
    return plan
