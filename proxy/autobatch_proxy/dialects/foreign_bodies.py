"""Decide what the bodies of other systems' routes become. Pure.

    POST /v1/embedding  [{"query": "text"}, ...]      -> [{"embedding": [...]}, ...]
    POST /vectors       {"text": "text", "config": …} -> {"text": "text", "dims": n, "dim": n, "vector": [...]}
                        {"texts": ["text", ...], …}   -> {"texts": [...], "dims": n, "dim": n, "vectors": [[...], ...]}

The upstream knows no such routes, so what is wrong with a body is said here.

Source of the second: the inference container of Weaviate's text2vec-transformers module. `config` (pooling, task) is
not looked at: the upstream's model has its own.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from autobatch_proxy.dialects import forms as shapes
from autobatch_proxy.dialects.strict_json import plan_inputs
from autobatch_proxy.http.request_headers import is_json
from autobatch_proxy.requests.plan import Allowed, Plan, Rules
from autobatch_proxy.requests.rows import rows_in
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest, NotJson, WrongContentType

T = TypeVar("T")


class _Query(msgspec.Struct):
    query: str


class _Vectors(msgspec.Struct):
    text: str | None = None
    texts: list[str] | None = None


_decode_queries = msgspec.json.Decoder(list[_Query]).decode
_decode_vectors = msgspec.json.Decoder(_Vectors).decode
_encode = msgspec.json.Encoder().encode


def plan_queries(
    body: bytes, content_type: str | None, rules: Rules, allowed: Allowed, *, asks_bulk: bool = False
) -> Plan:
    """Plan a `POST /v1/embedding`.

    Raises:
        WrongContentType, NotJson, EmptyInput: As the names say.
        InvalidRequest: It has another shape, or more inputs than a request may have.
    """
    if not is_json(content_type):
        raise WrongContentType
    texts = [item.query for item in _read(_decode_queries, body)]
    if not texts:
        raise EmptyInput("The list of queries cannot be empty")
    plan = plan_inputs(texts, _encode(texts), None, rules, allowed, asks_bulk=asks_bulk)
    plan.shape = shapes.listed_embeddings
    return plan


def plan_vectors(
    body: bytes, _content_type: str | None, rules: Rules, allowed: Allowed, *, asks_bulk: bool = False
) -> Plan:
    """Plan a `POST /vectors`; its clients send one form without a content type.

    Raises:
        NotJson, EmptyInput: As the names say.
        InvalidRequest: It has another shape, or more inputs than a request may have.
    """
    asked = _read(_decode_vectors, body)
    if asked.text is not None:
        inputs: str | list[str] = asked.text
    elif asked.texts is not None:
        inputs = asked.texts
    else:
        raise InvalidRequest("Object missing required field `text` or `texts`")
    if not inputs:
        raise EmptyInput(f"`{'text' if asked.text is not None else 'texts'}` cannot be empty")
    plan = plan_inputs(inputs, _encode(inputs), None, rules, allowed, asks_bulk=asks_bulk)
    plan.shape = partial(_one_vector if isinstance(inputs, str) else _all_vectors, _encode(inputs))
    return plan


def _read(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise NotJson from exc


def _one_vector(text: bytes, answer: bytes, _tokens: int | None, _request_id: str) -> bytes:
    row = shapes.only_row(answer)
    size = row.count(b",") + 1
    return b'{"text":%b,"dims":%d,"dim":%d,"vector":%b}' % (text, size, size, row)


def _all_vectors(texts: bytes, answer: bytes, _tokens: int | None, _request_id: str) -> bytes:
    size = bytes(rows_in(answer)[0]).count(b",") + 1
    return b'{"texts":%b,"dims":%d,"dim":%d,"vectors":%b}' % (texts, size, size, answer)
