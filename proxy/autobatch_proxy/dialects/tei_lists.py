"""Decide what lists become at routes whose requests share no call with others. Pure.

    POST /tokenize    {"inputs": ["text", ...]}
    POST /decode      {"ids": [[101, 102], ...]}
    POST /rerank      {"query": "text", "texts": ["text", ...]}
    POST /similarity  {"inputs": {"source_sentence": "text", "sentences": ["text", ...]}}

1. A list that the upstream takes goes on as it came, and so does what is not plainly a list: the answer is the upstream's.
2. A longer one is cut into calls that it takes, each with the whole rest of the request, and their rows come back in order.
3. So does one whose rest is so long that repeating it would cost more than the list is worth.

Source: these routes of text-embeddings-inference 1.9.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from autobatch_proxy.dialects.ranks import join_ranks
from autobatch_proxy.dialects.strict_json import Plain, grammar, read
from autobatch_proxy.dialects.tei import direction_of, or_verbatim
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.plan import Allowed, Piece, Plan, Rules
from autobatch_shared.contract.decoding import NOT_AS_ASKED
from autobatch_shared.contract.errors import InvalidRequest

JSON = "application/json"
REPEATED_BYTES_MAX = 1_000_000  # half of what a body may have: a query of 15 kB can have 2,048 texts, 64 calls of 32

T = TypeVar("T")

_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Direction = Literal["right", "left", "Right", "Left"]

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
_decode_ids = msgspec.json.Decoder(list[list[_TokenId]]).decode
_encode = msgspec.json.Encoder().encode


class _TokenizeBody(msgspec.Struct):
    inputs: msgspec.Raw
    add_special_tokens: bool = True
    prompt_name: str | None = None


class _DecodeBody(msgspec.Struct):
    ids: msgspec.Raw
    skip_special_tokens: bool = True


class _RerankBody(msgspec.Struct):
    query: str
    texts: msgspec.Raw
    truncate: bool | None = None
    truncation_direction: _Direction = "right"
    raw_scores: bool = False
    return_text: bool = False


class _SimilarityBody(msgspec.Struct):
    inputs: msgspec.Raw
    parameters: msgspec.Raw = msgspec.Raw(b"null")


class _Sentences(msgspec.Struct):
    source_sentence: str
    sentences: msgspec.Raw


class _Parameters(msgspec.Struct):
    truncate: bool | None = None
    truncation_direction: _Direction = "right"
    prompt_name: msgspec.Raw = msgspec.Raw(b"null")


_TOKENIZE = grammar(_TokenizeBody)
_DECODE = grammar(_DecodeBody, "ids")
_RERANK = grammar(_RerankBody, "texts")
_SIMILARITY = grammar(_SimilarityBody)
_SENTENCES = grammar(_Sentences, "sentences")
_PARAMETERS = grammar(_Parameters, "prompt_name")


@or_verbatim
def plan_tokenize(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /tokenize`: the tokens of each text."""
    plain = read(body, _TOKENIZE)
    if isinstance(plain, Alone) or _fits(_decode_texts, plain.raw, allowed.job_inputs_max):
        return Alone.ROUTE
    request = plain.request
    options = [] if request.add_special_tokens else [b'"add_special_tokens":false']
    if request.prompt_name is not None:
        options.append(b'"prompt_name":%b' % _encode(request.prompt_name))
    return _plan(partial(_call, b"inputs", options), plain.raw, allowed.job_inputs_max, rules, asks_bulk=asks_bulk)


@or_verbatim
def plan_decode(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /decode`: the text of each list of token ids."""
    plain = read(body, _DECODE)
    # Our decoder reads the id `-0` as 0.
    if isinstance(plain, Alone) or b"-" in plain.raw or _fits(_decode_ids, plain.raw, allowed.job_inputs_max):
        return Alone.ROUTE
    options = [] if plain.request.skip_special_tokens else [b'"skip_special_tokens":false']
    return _plan(partial(_call, b"ids", options), plain.raw, allowed.job_inputs_max, rules, asks_bulk=asks_bulk)


@or_verbatim
def plan_rerank(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /rerank`: how well each text answers the query."""
    plain = read(body, _RERANK)
    if isinstance(plain, Alone) or _fits(_decode_texts, plain.raw, allowed.job_inputs_max):
        return Alone.ROUTE
    request = plain.request
    options = [b'"query":%b' % _encode(request.query), *_truncation(request)]
    options += [b'"%b":true' % name for name in (b"raw_scores", b"return_text") if getattr(request, name.decode())]
    plan = _plan(partial(_call, b"texts", options), plain.raw, allowed.job_inputs_max, rules, asks_bulk=asks_bulk)
    if isinstance(plan, Alone):
        return plan
    texts = _decode_texts(plain.raw)
    plan.characters = len(request.query) * len(texts) + sum(map(len, texts))
    plan.shape = partial(join_ranks, [piece.n for piece in plan.pieces])
    return plan


@or_verbatim
def plan_similarity(body: bytes, rules: Rules, allowed: Allowed, *, asks_bulk: bool) -> Plan | Alone:
    """Plan a `POST /similarity`: the cosine of each sentence with the source sentence, which is in each call."""
    plain = read(body, _SIMILARITY)
    inputs = read(plain.raw, _SENTENCES) if isinstance(plain, Plain) else plain
    call_inputs_max = allowed.job_inputs_max - 1  # beside the source sentence
    if isinstance(plain, Alone) or isinstance(inputs, Alone) or call_inputs_max < 1:
        return Alone.ROUTE
    options: list[bytes] = []
    raw_parameters = bytes(plain.request.parameters)
    if raw_parameters != b"null":
        parameters = read(raw_parameters, _PARAMETERS)
        if isinstance(parameters, Alone) or not _is_text_or_null(parameters.raw):
            return Alone.ROUTE
        members = _truncation(parameters.request)
        if parameters.raw != b"null":
            members.append(b'"prompt_name":%b' % parameters.raw)
        options = [b'"parameters":{%b}' % b",".join(members)] if members else []
    if _fits(_decode_texts, inputs.raw, call_inputs_max):
        return Alone.ROUTE
    source = inputs.request.source_sentence
    members = [b'"source_sentence":%b' % _encode(source)]

    def call(sentences: Sequence[msgspec.Raw]) -> bytes:
        return b"{%b}" % b",".join([b'"inputs":%b' % _call(b"sentences", members, sentences), *options])

    plan = _plan(call, inputs.raw, call_inputs_max, rules, beside=1, asks_bulk=asks_bulk)
    if isinstance(plan, Alone):
        return plan
    plan.characters = len(source) * len(plan.pieces) + sum(map(len, _decode_texts(inputs.raw)))
    return plan


def _fits(decode: Callable[[bytes], Sequence[object]], raw: bytes, inputs_max: int) -> bool:
    """Whether the upstream takes these inputs in one call, or is to refuse them."""
    try:
        return len(decode(raw)) <= inputs_max
    except NOT_AS_ASKED:
        return True


def _is_text_or_null(raw: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(raw), str | None)
    except NOT_AS_ASKED:
        return False


def _truncation(request: Any) -> list[bytes]:
    members = []
    if request.truncate is not None:
        members.append(b'"truncate":true' if request.truncate else b'"truncate":false')
    if direction_of(request) == "left":
        members.append(b'"truncation_direction":"Left"')  # the spelling that all versions know
    return members


def _call(name: bytes, members: Sequence[bytes], items: Sequence[msgspec.Raw]) -> bytes:
    """Return the body of a call for some of the items."""
    return b"{%b}" % b",".join([b'"%b":[%b]' % (name, b",".join(items)), *members])


def _plan(
    call: Callable[[Sequence[msgspec.Raw]], bytes],
    raw: bytes,
    call_inputs_max: int,
    rules: Rules,
    *,
    beside: int = 0,
    asks_bulk: bool,
) -> Plan | Alone:
    """Cut a list into calls, unless that would repeat too much.

    Args:
        call: Makes the body of one.
        raw: The list.
        call_inputs_max: Items that one call may have.
        rules: Of this worker.
        beside: Inputs that the upstream counts with the items.
        asks_bulk: Whether the client asked to be bulk.

    Raises:
        InvalidRequest: More inputs than a request may have.
    """
    items = _decode_items(raw)
    count = beside + len(items)
    if count > rules.request_inputs_max:
        raise InvalidRequest(f"batch size {count} > maximum allowed batch size {rules.request_inputs_max}")
    places = [range(len(items))[start : start + call_inputs_max] for start in range(0, len(items), call_inputs_max)]
    if len(call([])) * len(places) > REPEATED_BYTES_MAX:
        return Alone.ROUTE
    pieces = [
        Piece(len(own), "verbatim", call(items[own.start : own.stop]), content_type=JSON, places=own) for own in places
    ]
    return Plan(pieces, asks_bulk or count > rules.bulk_above_inputs, "", alone=Alone.ROUTE)
