"""The vectors of an answer to `POST /v1/embeddings`, in the order of the inputs. Pure.

Base64 is little-endian float32. Its rows are printed as the shortest text that is the same float32, as TEI prints: 384 numbers are
4.7 kB instead of the 8.1 kB that servers in Python send, which print float32 as float64. Of the 15 us that such a row takes here,
printing is 9; one of 8.1 kB takes 19.
"""

from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

import msgspec

from autobatch_batcher.dialects.rows import check_vectors
from autobatch_shared.contract.errors import NOT_AS_ASKED, UpstreamProtocolError

FLOAT_BYTES = 4


class _Embedding(msgspec.Struct):
    embedding: msgspec.Raw
    index: int


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


class _Usage(msgspec.Struct):
    prompt_tokens: Any = None
    total_tokens: Any = None


class _Used(msgspec.Struct):
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Embeddings).decode
_decode_used = msgspec.json.Decoder(_Used).decode


def cut_list(answer: bytes, count: int) -> list[bytes]:
    """Cut an answer into its rows, each an array of numbers.

    Args:
        answer: The answer's body.
        count: Number of inputs in the call.

    Raises:
        UpstreamProtocolError: It has not one vector for each input, or vectors of different lengths.
    """
    try:
        listed = _decode(answer).data
    except NOT_AS_ASKED as exc:
        raise UpstreamProtocolError("The upstream's answer is not a list of embeddings") from exc
    if len(listed) != count:
        raise UpstreamProtocolError(f"The upstream answered {len(listed)} rows to {count} inputs")
    rows = [b""] * count
    for each in listed:
        if not 0 <= each.index < count or rows[each.index]:
            raise UpstreamProtocolError("The upstream's answer has an index twice, or one that is of no input")
        rows[each.index] = bytes(each.embedding)
    if all(row.startswith(b'"') for row in rows):
        return _printed(rows)
    check_vectors(b"[%b]" % b",".join(rows), rows)
    return rows


def tokens_used(answer: bytes) -> int | None:
    """Return the tokens of all inputs of a call; None where its answer does not say."""
    try:
        usage = _decode_used(answer).usage
    except NOT_AS_ASKED:
        return None
    if usage is None:
        return None
    for said in (usage.prompt_tokens, usage.total_tokens):
        if type(said) is int and 0 < said < 2**53:
            return said
    return None


def _printed(rows: Sequence[bytes]) -> list[bytes]:
    """Rows of base64 as arrays of numbers; NaN and infinity as null, as TEI does it."""
    try:
        packed = [a2b_base64(row[1:-1], strict_mode=True) for row in rows]
    except (NotBase64, ValueError) as exc:
        raise UpstreamProtocolError("The upstream's answer has a row that is not an array of numbers") from exc
    sizes = {len(each) for each in packed}
    if len(sizes) > 1:
        raise UpstreamProtocolError("The upstream's answer has rows of different lengths")
    if 0 in sizes or sizes.pop() % FLOAT_BYTES:
        raise UpstreamProtocolError("The upstream's answer has a row that is not an array of numbers")
    print_row = resolve_name("autobatch_batcher.dialects.float32_text:print_row")  # only here is numpy needed
    return list(map(print_row, packed))
