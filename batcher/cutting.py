"""Put one call together from the jobs' raw JSON, and cut its answer apart again. No text and no float is parsed."""

from collections.abc import Sequence

import msgspec

from autobatch.decoding import NOT_AS_ASKED
from autobatch.errors import UpstreamProtocolError

_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode

# A row of numbers has none of these: string, object, true, false.
_FOREIGN = (b'"', b"{", b"t", b"f")


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
        `[[...], ...]` a job, in the same order; each row is the upstream's own bytes.

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
    if any(mark in answer for mark in _FOREIGN) or not all(map(_is_flat_row, rows)):
        raise UpstreamProtocolError("The upstream's answer has a row that is not an array of numbers")
    if len({row.count(b",") for row in rows}) > 1:
        raise UpstreamProtocolError("The upstream's answer has rows of different lengths")
    parts, start = [], 0
    for count in counts:
        parts.append(b"[%b]" % b",".join(rows[start : start + count]))
        start += count
    return parts


def _is_flat_row(row: bytes) -> bool:
    """Whether the JSON value is an array that is not empty and holds no array."""
    return row.startswith(b"[") and row.find(b"[", 1) < 0 and row[1:-1].strip() != b""
