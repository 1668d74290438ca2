"""Read `POST /rerank`, and ask for ranks where other APIs do. Pure.

    {"query": "text", "texts": ["text", ...]} -> [{"index": 1, "score": 0.98}, {"index": 0, "score": 0.02}]

1. A rank is the score of one pair: `/rerank` computes each as `/predict` does. So where the upstream is a re-ranker, the pairs
   of several requests share calls of `/predict`, and are put in order here.
2. Elsewhere the list travels alone, and the upstream says what it has to say of it.
3. No score is printed anew.

Source: text-embeddings-inference 1.9, whose `/rerank` sorts by score and, of equal ones, has the last first.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import msgspec

from autobatch_proxy.dialects.strict_json import grammar
from autobatch_proxy.dialects.tei import direction_of
from autobatch_proxy.dialects.tei_lists import decode_texts, list_in, truncation, written
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.asked import AnswerFacts, Asked, AskedList
from autobatch_shared.contract.errors import NOT_AS_ASKED, UpstreamProtocolError
from autobatch_shared.contract.options import Options, unless_default

ROUTE = "/rerank"

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Ranking(msgspec.Struct, frozen=True):
    """What is to be ranked.

    Attributes:
        query: The query.
        texts: The texts; not empty, nor is any of them, where pairs may share calls.
        raw: The texts as a JSON array.
        truncate: Whether pairs that are too long are cut; None: as the upstream was started.
        truncation_direction: The end at which they are cut.
        raw_scores: Whether scores are wanted as the model computes them.
    """

    query: str
    texts: list[str]
    raw: bytes
    truncate: bool | None = None
    truncation_direction: Literal["right", "left"] = "right"
    raw_scores: bool = False


class Rank(msgspec.Struct, omit_defaults=True):
    """The rank of one text, its members in TEI's order; the score is the upstream's own bytes."""

    index: int
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    score: msgspec.Raw = msgspec.Raw(b"null")


class _Prediction(msgspec.Struct):
    score: msgspec.Raw


#: Makes an answer's body of the ranks, the best first.
RanksForm = Callable[[list[Rank], AnswerFacts], bytes]


class _RerankBody(msgspec.Struct):
    query: str
    texts: msgspec.Raw
    truncate: bool | None = None
    truncation_direction: Literal["right", "left", "Right", "Left"] = "right"
    raw_scores: bool = False
    return_text: bool = False


_RERANK = grammar(_RerankBody, "texts")
_decode_ranks = msgspec.json.Decoder(list[Rank]).decode
_decode_predictions = msgspec.json.Decoder(list[tuple[_Prediction]]).decode


def read_rerank(body: bytes) -> AskedList | Alone:
    """Read a `POST /rerank`: how well each text answers the query."""
    found = list_in(body, _RERANK, decode_texts)
    if found is None:
        return Alone.ROUTE
    strict, texts = found
    request: _RerankBody = strict.request
    direction = direction_of(request)
    ranking = Ranking(request.query, texts, strict.raw, request.truncate, direction, request.raw_scores)
    own_texts = strict.raw if request.return_text else None
    return AskedList(
        len(texts),
        strict.raw,
        partial(_write, ranking, return_text=request.return_text),
        characters=partial(_characters, ranking),
        join=join_ranks,
        pairs=_pairs_of(ranking, partial(_tei_answer, own_texts)),
    )


def asked_ranks(ranking: Ranking, form: RanksForm) -> AskedList:
    """Return what another API asks when it asks for ranks; `form` makes its answer."""
    return AskedList(
        len(ranking.texts),
        ranking.raw,
        partial(_write, ranking),
        characters=partial(_characters, ranking),
        join=join_ranks,
        pairs=_pairs_of(ranking, form),
        route=ROUTE,
        form=partial(_ranks_answer, form),
    )


def join_ranks(counts: Sequence[int], rows: bytes) -> bytes:
    """Return the ranks of all calls as those of one: by score, the best first; of equal ones the last first.

    Args:
        counts: The number of texts in each call.
        rows: The ranks of the calls, one call after the other.

    Raises:
        UpstreamProtocolError: Some text has no rank, or another than one with a number.
    """
    ranks = _ranks_in(rows)
    start = 0
    for count in counts:
        own = ranks[start : start + count]
        if {rank.index for rank in own} != set(range(count)):
            raise UpstreamProtocolError("The upstream's answer has not one rank for each text")
        for rank in own:
            rank.index += start
        start += count
    return _encode(_best_first(ranks))


def _ranks_in(rows: bytes) -> list[Rank]:
    try:
        return _decode_ranks(rows)
    except NOT_AS_ASKED as exc:
        raise UpstreamProtocolError("The upstream's answer has a rank of another shape") from exc


def _best_first(ranks: Sequence[Rank]) -> list[Rank]:
    try:
        scores = [float(bytes(rank.score)) for rank in ranks]
    except ValueError as exc:
        raise UpstreamProtocolError("The upstream's answer has a rank of another shape") from exc
    order = sorted(range(len(ranks)), key=lambda at: (scores[at], ranks[at].index), reverse=True)
    return [ranks[at] for at in order]


def _characters(ranking: Ranking, _calls: int) -> int:
    return len(ranking.query) * len(ranking.texts) + sum(map(len, ranking.texts))


def _pairs_of(ranking: Ranking, form: RanksForm) -> Callable[[], Asked] | None:
    """Return how to ask for the same as pairs; None where a text is empty: the upstream may refuse it, and neighbours with it."""
    if not ranking.texts or not ranking.query or "" in ranking.texts:
        return None
    return partial(_pairs, ranking, form)


def _pairs(ranking: Ranking, form: RanksForm) -> Asked:
    query = _encode(ranking.query)
    options = Options(
        truncate=ranking.truncate,
        truncation_direction=ranking.truncation_direction,
        raw_scores=ranking.raw_scores,
    )
    return Asked(
        "/predict",
        [ranking.query + text for text in ranking.texts],
        b"[%b]" % b",".join([b"[%b,%b]" % (query, text) for text in _decode_items(ranking.raw)]),
        unless_default(options),
        form=partial(_predictions_answer, form),
        is_native=False,
    )


def _predictions_answer(form: RanksForm, rows: bytes, facts: AnswerFacts) -> bytes:
    """The answer's body of what `/predict` says of each pair: one label, with its score."""
    try:
        scores = [prediction.score for (prediction,) in _decode_predictions(rows)]
    except NOT_AS_ASKED as exc:
        raise UpstreamProtocolError("The upstream's answer has not one score for each pair") from exc
    return form(_best_first([Rank(index, score=score) for index, score in enumerate(scores)]), facts)


def _ranks_answer(form: RanksForm, rows: bytes, facts: AnswerFacts) -> bytes:
    return form(_ranks_in(rows), facts)


def _tei_answer(raw_texts: bytes | None, ranks: list[Rank], _facts: AnswerFacts) -> bytes:
    """The body as TEI writes it, with the texts where they are given."""
    if raw_texts is not None:
        texts = _decode_items(raw_texts)
        for rank in ranks:
            rank.text = texts[rank.index]
    return _encode(ranks)


def _write(ranking: Ranking, items: Sequence[msgspec.Raw], *, return_text: bool = False) -> bytes:
    members = [b'"query":%b' % _encode(ranking.query), *truncation(ranking)]
    if ranking.raw_scores:
        members.append(b'"raw_scores":true')
    if return_text:
        members.append(b'"return_text":true')
    return written(b"texts", items, members)
