"""Cut an array of rows apart, and check that each row is what its route answers. No float is parsed. Pure.

The routes and their rows are those of `dialects.base`. A component that is not a number is written as null.

Source: the answers of text-embeddings-inference 1.9.
"""

from codecs import BOM_UTF8
from collections.abc import Callable, Container, Sequence
from typing import Annotated

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED, UpstreamProtocolError

_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode

# What is left of a row without these says its form: `[,,]` for three numbers, whatever they are.
_OF_NUMBERS = b"0123456789.-+eE \t\r\n"


class _Component(msgspec.Struct):
    index: int
    value: float | None


class _Score(msgspec.Struct):
    score: float | None
    label: str


_decode_sparse = msgspec.json.Decoder(list[_Component]).decode
_decode_scores = msgspec.json.Decoder(Annotated[list[_Score], msgspec.Meta(min_length=1)]).decode


def cut_rows(answer: bytes, count: int, route: str = "/embed", may_be_empty: Container[int] = ()) -> list[bytes]:
    """Cut an answer into its rows, without parsing floats.

    Args:
        answer: The answer's body, a JSON array with a row for each input.
        count: Number of inputs in the call.
        route: What was computed, by the name of TEI's route.
        may_be_empty: Places of inputs that may have no tokens, and then no vector of `/embed_all`.

    Returns:
        A row each, in the order of the call, in the upstream's own bytes.

    Raises:
        UpstreamProtocolError: It has another number of rows, or something that is no row of this route.
    """
    try:
        rows = [bytes(row) for row in _decode_rows(answer)]
    except NOT_AS_ASKED as exc:
        said = "begins with a byte order mark" if answer.startswith(BOM_UTF8) else "is not an array of rows"
        raise UpstreamProtocolError(f"The upstream's answer {said}") from exc
    if len(rows) != count:
        raise UpstreamProtocolError(f"The upstream answered {len(rows)} rows to {count} inputs")
    if route == "/embed":
        check_vectors(answer, rows)
    elif route == "/embed_all":
        _check_token_vectors(rows, may_be_empty)
    else:
        _check_objects(_decode_scores if route == "/predict" else _decode_sparse, rows)
        _check_utf8(answer)
    return rows


def components(rows: Sequence[bytes]) -> int:
    """Return the number of components of vectors which `cut_rows` found equally long."""
    return rows[0].count(b",") + 1


def _check_token_vectors(rows: Sequence[bytes], may_be_empty: Container[int]) -> None:
    sizes = set()
    for place, row in enumerate(rows):
        try:
            vectors = [bytes(vector) for vector in _decode_rows(row)]
        except NOT_AS_ASKED as exc:
            raise UpstreamProtocolError("The upstream's answer has a row that is not an array of vectors") from exc
        if not vectors:
            if place in may_be_empty:
                continue
            raise UpstreamProtocolError("The upstream's answer has an empty row")
        check_vectors(row, vectors)
        sizes.add(vectors[0].count(b","))
    if len(sizes) > 1:
        raise UpstreamProtocolError("The upstream's answer has rows of different lengths")


def _check_objects(decode: Callable[[bytes], object], rows: Sequence[bytes]) -> None:
    for row in rows:
        try:
            decode(row)
        except NOT_AS_ASKED as exc:
            raise UpstreamProtocolError("The upstream's answer has a row of another shape") from exc


def _check_utf8(answer: bytes) -> None:
    """Raise unless it is UTF-8: the reader does not look into what it skips, and a client may."""
    try:
        answer.decode()
    except UnicodeDecodeError as exc:
        raise UpstreamProtocolError("The upstream's answer is not UTF-8") from exc


def check_vectors(answer: bytes, rows: Sequence[bytes]) -> None:
    """Raise unless all rows are flat arrays of equally many numbers; the JSON is known to be valid.

    Args:
        answer: The rows as one JSON array.
        rows: The same, one by one.

    One pass over the whole answer, compared with what must be left of it: 1.1 us a row of 384 floats; row by row 2.3.
    """
    commas = rows[0].count(b",")
    left = answer.translate(None, _OF_NUMBERS)
    if b"n" in left:
        left = left.replace(b"null", b"")
    if left != b"[%b]" % b",".join([b"[%b]" % (b"," * commas)] * len(rows)):
        if all(row.startswith(b"[") and row.find(b"[", 1) < 0 for row in rows) and not left.strip(b"[,]"):
            raise UpstreamProtocolError("The upstream's answer has rows of different lengths")
        raise UpstreamProtocolError("The upstream's answer has a row that is not an array of numbers")
    if commas == 0 and not all(row[1:-1].strip() for row in rows):  # `[]` and `[1.5]` leave the same
        raise UpstreamProtocolError("The upstream's answer has an empty row")
