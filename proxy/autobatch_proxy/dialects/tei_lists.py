"""Read lists of TEI's routes whose requests share no call with others. Pure.

    POST /tokenize    {"inputs": ["text", ...]}
    POST /decode      {"ids": [[101, 102], ...]}
    POST /similarity  {"inputs": {"source_sentence": "text", "sentences": ["text", ...]}}

A body that is not strictly a list goes on unchanged: the answer is the upstream's. A list that is split has the whole
rest of the request in each call, and the rows come back in order.

Source: these routes of text-embeddings-inference 1.9.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from autobatch_proxy.dialects.strict_json import Grammar, StrictBody, grammar, read
from autobatch_proxy.dialects.tei import direction_of
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.asked import AskedList
from autobatch_shared.contract.errors import NOT_AS_ASKED

T = TypeVar("T")

_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Direction = Literal["right", "left", "Right", "Left"]

decode_texts = msgspec.json.Decoder(list[str]).decode
_decode_ids = msgspec.json.Decoder(list[list[_TokenId]]).decode
_encode = msgspec.json.Encoder().encode


class _TokenizeBody(msgspec.Struct):
    inputs: msgspec.Raw
    add_special_tokens: bool = True
    prompt_name: str | None = None


class _DecodeBody(msgspec.Struct):
    ids: msgspec.Raw
    skip_special_tokens: bool = True


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
_SIMILARITY = grammar(_SimilarityBody)
_SENTENCES = grammar(_Sentences, "sentences")
_PARAMETERS = grammar(_Parameters, "prompt_name")


def read_tokenize(body: bytes) -> AskedList | Alone:
    """Read a `POST /tokenize`: the tokens of each text."""
    found = list_in(body, _TOKENIZE, decode_texts)
    if found is None:
        return Alone.ROUTE
    strict, texts = found
    return AskedList(len(texts), strict.raw, partial(_write_tokenize, strict.request))


def read_decode(body: bytes) -> AskedList | Alone:
    """Read a `POST /decode`: the text of each list of token ids."""
    found = list_in(body, _DECODE, _decode_ids)
    if found is None:
        return Alone.ROUTE
    strict, ids = found
    if b"-" in strict.raw:  # our decoder reads the id `-0` as 0
        return Alone.ROUTE
    return AskedList(len(ids), strict.raw, partial(_write_decode, strict.request))


def read_similarity(body: bytes) -> AskedList | Alone:
    """Read a `POST /similarity`: the cosine of each sentence with the source sentence, which is in each call."""
    strict = read(body, _SIMILARITY)
    found = list_in(strict.raw, _SENTENCES, decode_texts) if isinstance(strict, StrictBody) else None
    if isinstance(strict, Alone) or found is None:
        return Alone.ROUTE
    inputs, sentences = found
    raw_parameters = bytes(strict.request.parameters)
    parameters = read(b"{}" if raw_parameters == b"null" else raw_parameters, _PARAMETERS)
    if isinstance(parameters, Alone) or not _is_text_or_null(parameters.raw):
        return Alone.ROUTE
    source = inputs.request.source_sentence
    return AskedList(
        len(sentences),
        inputs.raw,
        partial(_write_similarity, source, parameters),
        beside=1,
        characters=lambda calls: len(source) * calls + sum(map(len, sentences)),
    )


def _write_tokenize(request: _TokenizeBody, items: Sequence[msgspec.Raw]) -> bytes:
    members = [] if request.add_special_tokens else [b'"add_special_tokens":false']
    if request.prompt_name is not None:
        members.append(b'"prompt_name":%b' % _encode(request.prompt_name))
    return written(b"inputs", items, members)


def _write_decode(request: _DecodeBody, items: Sequence[msgspec.Raw]) -> bytes:
    return written(b"ids", items, [] if request.skip_special_tokens else [b'"skip_special_tokens":false'])


def _write_similarity(source: str, parameters: StrictBody, items: Sequence[msgspec.Raw]) -> bytes:
    inputs = written(b"sentences", items, [b'"source_sentence":%b' % _encode(source)])
    members = truncation(parameters.request)
    if parameters.raw != b"null":
        members.append(b'"prompt_name":%b' % parameters.raw)
    if not members:
        return b'{"inputs":%b}' % inputs
    return b'{"inputs":%b,"parameters":{%b}}' % (inputs, b",".join(members))


def written(name: bytes, items: Sequence[msgspec.Raw], members: Sequence[bytes]) -> bytes:
    """The JSON object of some items and the other members."""
    return b"{%b}" % b",".join([b'"%b":[%b]' % (name, b",".join(items)), *members])


def list_in(body: bytes, fields: Grammar, decode: Callable[[bytes], T]) -> tuple[StrictBody, T] | None:
    """A body and its items; None for a body or a list that the upstream is to judge."""
    strict = read(body, fields)
    if isinstance(strict, Alone):
        return None
    try:
        return strict, decode(strict.raw)
    except NOT_AS_ASKED:
        return None


def _is_text_or_null(raw: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(raw), str | None)
    except NOT_AS_ASKED:
        return False


def truncation(request: Any) -> list[bytes]:
    """The members of an object that say how inputs are cut, none where they have their defaults."""
    members = []
    if request.truncate is not None:
        members.append(b'"truncate":true' if request.truncate else b'"truncate":false')
    if direction_of(request) == "left":
        members.append(b'"truncation_direction":"Left"')  # the spelling that all versions know
    return members
