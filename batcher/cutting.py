"""Cut the answer to one call apart. No float is parsed."""

from collections.abc import Sequence

import msgspec

from autobatch.decoding import NOT_AS_ASKED
from autobatch.errors import UpstreamProtocolError

_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode

# What is left of a row without these says its form: `[,,]` for three numbers, whatever they are.
_OF_NUMBERS = b"0123456789.-+eE \t\r\n"


def cut(answer: bytes, count: int) -> list[bytes]:
    """Cut an answer into its rows, without parsing floats.

    Args:
        answer: JSON array of rows of numbers, shape (count, dimension).
        count: Inputs of the call.

    Returns:
        `[...]` a row, in the order of the call; each is the upstream's own bytes. TEI writes null for a component that
        is no number, and so do we.

    Raises:
        UpstreamProtocolError: Another number of rows, rows of unequal length, or something that is no row.

    Source: the answer of TEI's `POST /embed`.
    """
    try:
        rows = [bytes(row) for row in _decode_rows(answer)]
    except NOT_AS_ASKED as exc:
        raise UpstreamProtocolError("The upstream's answer is not an array of rows") from exc
    if len(rows) != count:
        raise UpstreamProtocolError(f"The upstream answered {len(rows)} rows to {count} inputs")
    _check_form(answer, rows)
    return rows


def _check_form(answer: bytes, rows: Sequence[bytes]) -> None:
    """Raise unless all rows are flat arrays of equally many numbers; the JSON is known to be valid.

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
