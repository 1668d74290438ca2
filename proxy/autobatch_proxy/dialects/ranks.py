"""Put the ranks of several `/rerank` calls together as those of one. No score is printed anew. Pure.

Source: `POST /rerank` of text-embeddings-inference 1.9, which sorts by score and, of equal ones, the last first.
"""

from collections.abc import Sequence

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED, UpstreamProtocolError

_encode = msgspec.json.Encoder().encode


class _Rank(msgspec.Struct, omit_defaults=True):
    """One text's, its members in TEI's order."""

    index: int
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    score: msgspec.Raw = msgspec.Raw(b"null")


_decode_ranks = msgspec.json.Decoder(list[_Rank]).decode


def join_ranks(counts: Sequence[int], answer: bytes, _tokens: int | None, _request_id: str) -> bytes:
    """Return the ranks of all calls as those of one: by score, the best first; of equal ones the last first.

    Args:
        counts: Texts of each call.
        answer: The ranks of the calls, one call after the other.

    Raises:
        UpstreamProtocolError: Some text has no rank, or another than one with a number.
    """
    try:
        ranks = _decode_ranks(answer)
        scores = [float(bytes(rank.score)) for rank in ranks]
    except (*NOT_AS_ASKED, ValueError) as exc:
        raise UpstreamProtocolError("The upstream's answer has a rank of another shape") from exc
    start = 0
    for count in counts:
        own = ranks[start : start + count]
        if {rank.index for rank in own} != set(range(count)):
            raise UpstreamProtocolError("The upstream's answer has not one rank for each text")
        for rank in own:
            rank.index += start
        start += count
    order = sorted(range(len(ranks)), key=lambda at: (scores[at], ranks[at].index), reverse=True)
    return _encode([ranks[at] for at in order])
