"""Put the answers of one request's jobs together again. No float is parsed."""

from collections.abc import Iterable, Sequence

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED, UpstreamProtocolError

_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode


def join_rows(parts: Sequence[tuple[Sequence[int], bytes]]) -> bytes:
    """Return one JSON array of all rows, each in the place of its input and as its job's answer had it.

    Args:
        parts: A job each: the places of its inputs in the request, and its answer, a JSON array with a row for each
            of them, in that order. Together they have every place from 0 on once.

    Raises:
        UpstreamProtocolError: An answer has another number of rows, or is no array.
    """
    rows = [msgspec.Raw()] * sum(len(places) for places, _ in parts)
    for places, answer in parts:
        for place, row in zip(places, rows_of(answer, len(places)), strict=True):
            rows[place] = row
    return b"[%b]" % b",".join(rows)


def check_lengths(answers: Iterable[bytes]) -> None:
    """Raise unless the first vectors of some jobs' answers are equally long; in each answer all are.

    Raises:
        UpstreamProtocolError: They are not: they are of different models.
    """
    if len({answer[: answer.find(b"]")].count(b",") for answer in answers}) > 1:
        raise UpstreamProtocolError("The upstream's answers have rows of different lengths")


def rows_of(answer: bytes, count: int) -> list[msgspec.Raw]:
    """Return the rows of one job's answer, as it had them.

    Raises:
        UpstreamProtocolError: Not `count` rows, or no array.
    """
    rows = rows_in(answer)
    if len(rows) != count:
        raise UpstreamProtocolError(f"The upstream answered {len(rows)} rows to {count} inputs")
    return rows


def rows_in(answer: bytes) -> list[msgspec.Raw]:
    """Return the rows of an answer, as it had them.

    Raises:
        UpstreamProtocolError: It is no array.
    """
    try:
        return _decode_rows(answer)
    except NOT_AS_ASKED as exc:
        raise UpstreamProtocolError("The upstream's answer is not an array of rows") from exc
