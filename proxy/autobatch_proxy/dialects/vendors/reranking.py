"""Read `POST /v1/rerank` and `/v2/rerank`, as Jina's and Cohere's clients send them, and put their answers together. Pure.

    {"model": "m", "query": "text", "documents": ["text", {"text": "text"}, ...], "top_n": 1}
    -> {"id": "...", "model": "m", "results": [{"index": 1, "relevance_score": 0.98, "document": {"text": "text"}}],
        "usage": {"total_tokens": 0, "prompt_tokens": 0},
        "meta": {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}}}

1. Both vendors' bodies are taken at both paths, and an answer has what either's clients read.
2. `return_documents` is true by default at `/v1/rerank`, as Jina has it, and false at `/v2/rerank`, where Cohere's never has them.
   A document that came as an object is returned as it came.
3. A pair that is too long is cut. What asks for another cut is refused: `max_chunks_per_doc`, `max_tokens_per_doc`; and so is
   `rank_fields` with another field than `text`.
4. The tokens are not counted: no route of TEI counts those of a pair.

Source: Jina's and Cohere's APIs, and the SDK `cohere` 7.3.
"""

from functools import partial
from typing import Annotated

import msgspec

from autobatch_proxy.dialects.error_shapes import ErrorShape, message_of
from autobatch_proxy.dialects.ranking import Rank, Ranking, asked_ranks
from autobatch_proxy.dialects.strict_json import decode_or_refuse
from autobatch_proxy.requests.asked import AnswerFacts, AskedList
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest

DOCUMENTS_A_UNIT = 100  # that Cohere bills as one search


class _Rerank(msgspec.Struct):
    """Null means the same as an absent field."""

    query: str
    documents: list[msgspec.Raw]
    model: str | None = None
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    return_documents: bool | None = None
    rank_fields: list[str] | None = None
    max_chunks_per_doc: int | None = None
    max_tokens_per_doc: int | None = None


class _Document(msgspec.Struct):
    text: str


class _Wanted(msgspec.Struct, frozen=True):
    """What an answer has.

    Attributes:
        version: Of Cohere's API.
        count: Number of documents.
        top_n: The most results; None: all.
        documents: A document each as the answer shows it; None: none is shown.
    """

    version: int
    count: int
    top_n: int | None
    documents: list[bytes] | None


class _Result(msgspec.Struct, omit_defaults=True):
    index: int
    relevance_score: msgspec.Raw
    document: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Rerank).decode
_decode_document = msgspec.json.Decoder(str | _Document).decode
_encode = msgspec.json.Encoder().encode


def read_rerank_v1(body: bytes) -> AskedList:
    """Read a `POST /v1/rerank`.

    Raises:
        NotJson, EmptyInput: As the names say.
        InvalidRequest: It has another shape, or asks for what is not done here.
    """
    return _asked(decode_or_refuse(_decode, body), version=1)


def read_rerank_v2(body: bytes) -> AskedList:
    """Read a `POST /v2/rerank`; what it raises is what `read_rerank_v1` raises."""
    return _asked(decode_or_refuse(_decode, body), version=2)


def _asked(request: _Rerank, *, version: int) -> AskedList:
    for name in ("max_chunks_per_doc", "max_tokens_per_doc"):
        if getattr(request, name) is not None:
            raise InvalidRequest(f"`{name}` is not available: a document is cut at the model's own limit")
    if request.rank_fields not in (None, ["text"]):
        raise InvalidRequest("`rank_fields` may have `text` only")
    documents = [decode_or_refuse(_decode_document, each) for each in request.documents]
    texts = [each if isinstance(each, str) else each.text for each in documents]
    if not texts or not request.query or "" in texts:
        raise EmptyInput("`query`, `documents` and each document cannot be empty")
    shows = version == 1 if request.return_documents is None else request.return_documents
    shown = None
    if shows:
        pairs = zip(documents, request.documents, strict=True)
        shown = [b'{"text":%b}' % raw if isinstance(each, str) else bytes(raw) for each, raw in pairs]
    ranking = Ranking(request.query, texts, _encode(texts), truncate=True)
    return asked_ranks(ranking, partial(_answer, _Wanted(version, len(texts), request.top_n, shown)))


def _answer(wanted: _Wanted, ranks: list[Rank], facts: AnswerFacts) -> bytes:
    results = [_result(rank, wanted.documents) for rank in ranks[: wanted.top_n]]
    tokens = facts.tokens or 0
    units = -(-wanted.count // DOCUMENTS_A_UNIT)
    return _encode(
        {
            "id": facts.request_id,
            "model": facts.model,
            "results": results,
            "usage": {"total_tokens": tokens, "prompt_tokens": tokens},
            "meta": {"api_version": {"version": str(wanted.version)}, "billed_units": {"search_units": units}},
        }
    )


def _result(rank: Rank, documents: list[bytes] | None) -> _Result:
    if documents is None:
        return _Result(rank.index, rank.score)
    return _Result(rank.index, rank.score, msgspec.Raw(documents[rank.index]))


def _as_both(status: int, body: bytes) -> bytes:
    message = message_of(status, body)
    return _encode({"message": message, "detail": message})


RERANK_ERRORS = ErrorShape(_as_both, fills_refusals=True)
