"""Put one call together from the jobs' raw JSON, and cut its answer apart again. No text and no float is parsed."""

from collections.abc import Sequence

import msgspec

from autobatch.decoding import NOT_AS_ASKED
from autobatch.errors import UpstreamProtocolError

_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode

# What is left of a row without these says its form: `[,,]` for three numbers, whatever they are.
_OF_NUMBERS = b"0123456789.-+eE \t\r\n"


def splice(bodies: Sequence[bytes], options: str) -> bytes:
    """Return the body of one `/embed` call.

    Args:
        bodies: JSON arrays of inputs, one a job, each `[...]` and not empty.
        options: JSON members, such as `"normalize":false`, or empty.
    """
    inputs = b",".join(body[1:-1] for body in bodies)
    return b'{"inputs":[%b],%b}' % (inputs, options.encode()) if options else b'{"inputs":[%b]}' % inputs


def cut(answer: bytes, counts: Sequence[int]) -> list[bytes]:
    """Cut an answer into one JSON array a job, without parsing floats.

    Args:
        answer: JSON array of rows of numbers, shape (sum(counts), dimension).
        counts: Inputs a job, in the order of the call.

    Returns:
        `[[...], ...]` a job, in the same order; each row is the upstream's own bytes. TEI writes null for a component
        that is no number, and so do we.

    Raises:
        UpstreamProtocolError: Another number of rows, rows of unequal length, or something that is no row.

    Source: the answer of TEI's `POST /embed`.
    """
    try:
        rows = [bytes(row) for row in _decode_rows(answer)]
    except NOT_AS_ASKED as exc:
        raise UpstreamProtocolError("The upstream's answer is not an array of rows") from exc
    if len(rows) != sum(counts):
        raise UpstreamProtocolError(f"The upstream answered {len(rows)} rows to {sum(counts)} inputs")
    forms = {row.translate(None, _OF_NUMBERS).replace(b"null", b"") for row in rows}
    if not all(map(_is_row_form, forms)) or not all(row[1:-1].strip() for row in rows):
        raise UpstreamProtocolError("The upstream's answer has a row that is not an array of numbers")
    if len(forms) > 1:
        raise UpstreamProtocolError("The upstream's answer has rows of different lengths")
    parts, start = [], 0
    for count in counts:
        parts.append(b"[%b]" % b",".join(rows[start : start + count]))
        start += count
    return parts


def _is_row_form(form: bytes) -> bool:
    """Whether this is left of an array of numbers, as the JSON is known to be valid."""
    return form[:1] == b"[" and form[-1:] == b"]" and not form[1:-1].strip(b",")
