"""text-embeddings-inference: its routes, its errors, and what it says of itself. Pure.

Source: the router of text-embeddings-inference 1.9.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from autobatch_batcher.dialects.base import SAMPLE_TEXT, Answer, Condition, Get, Post, Question, WantedModel
from autobatch_batcher.dialects.rows import cut_rows
from autobatch_batcher.dialects.verdict import Verdict, by_status
from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX, Card, Identity, ModelKind
from autobatch_shared.contract.errors import NOT_AS_ASKED, UpstreamProtocolError
from autobatch_shared.contract.options import Options

TOKENIZE = "/tokenize"
TOKENS_HEADER = "x-compute-tokens"

# Said with status 424 of a route or an option that another model has: to every client, whenever it is asked.
_is_of_another_model = re.compile(
    rb'\s*\{"error":"Backend error: (?:[Mm]odel is not an? [\w -]+|`\w+` is not available for SPLADE models)",'
    rb'"error_type":"Backend"\}\s*'
).fullmatch


class _Token(msgspec.Struct):
    """Something that is counted; what it says is skipped."""


class _Info(msgspec.Struct):
    """What counts here of `/info`. Whatever has another type than TEI's says nothing."""

    model_id: Any = None
    served_model_name: Any = None
    model_sha: Any = None
    model_dtype: Any = None
    model_type: Any = None
    max_client_batch_size: Any = None
    max_concurrent_requests: Any = None  # permits, one an input, not one a call
    max_input_length: Any = None
    max_batch_tokens: Any = None
    max_batch_requests: Any = None  # inputs in a pass of the model, of whichever requests
    auto_truncate: Any = None


_decode_info = msgspec.json.Decoder(_Info).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_tokens = msgspec.json.Decoder(list[list[_Token]]).decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class Tei:
    """The dialect of TEI, which the embedder speaks, too."""

    kind = "tei"
    hint = ""
    sample = SAMPLE_TEXT
    says_limits = True
    ask_health: Question = Get("/health")
    ask_card: tuple[Question, ...] = (Get("/info"),)
    growth_bytes_max = 8  # `{"inputs":["a"]}` of `{"inputs":"a"}`, and four brackets of a text on `/predict`

    @classmethod
    def for_upstream(cls, _url: str, _model: WantedModel) -> tuple["Tei", ...]:
        """Return the dialect: TEI has one model, below its URL."""
        return (cls(),)

    def knowing(self, _card: Card) -> "Tei":
        """Return itself."""
        return self

    def compose(self, route: str, inputs: Collection[bytes], options: Options | None) -> Post:
        """Return `{"inputs": [...], <options that are not defaults>}`."""
        members = b"" if options is None else _members(options)
        body = b'{"inputs":[%b],%b}' if members else b'{"inputs":[%b]%b}'
        return Post(route, body % (b",".join(inputs), members))

    def pass_on(self, route: str, body: bytes, content_type: str | None) -> Post:
        """Return the same request: clients of the house speak TEI's API."""
        return Post(route, body, content_type)

    def understood(self, answer: Answer) -> Answer:
        """Return the answer: TEI says by the status what became of a call."""
        return answer

    def envelope_bytes(self, options: Options | None) -> int:
        """Return the bytes around the inputs."""
        return len(self.compose("", (), options).body)

    def cut(self, answer: Answer, route: str, count: int, may_be_empty: Collection[int]) -> list[bytes]:
        """Return the rows as TEI wrote them."""
        return cut_rows(answer.body, count, route, may_be_empty)

    def judge(self, answer: Answer, jobs: int, *, is_verbatim: bool, may_retry: bool) -> Verdict:
        """Judge by the status; that another model has the route is an answer which no retry could change."""
        if answer.status == 200:
            return Verdict.PASS_ON if is_verbatim else Verdict.CUT
        if _says_another_model(answer):
            return Verdict.PASS_ON
        return by_status(answer.status, jobs, is_verbatim=is_verbatim, may_retry=may_retry)

    def condition(self, answer: Answer) -> Condition:
        """424 is how the model's own failures are answered."""
        if _says_another_model(answer):
            return Condition.UNKNOWN
        return Condition.FAILING if answer.status == 424 or answer.status >= 500 else Condition.WELL

    def inputs_max_said(self, _answer: Answer, _inputs: int) -> None:
        """Return nothing: `/info` has the limit."""
        return

    def tokens_said(self, _answer: Answer) -> None:
        """Return nothing: `/info` has the limit."""
        return

    def is_well(self, status: int, _said: bytes, /) -> bool:
        """Look at the status."""
        return status == 200

    def card(self, *said: bytes, kept: str = "") -> Card:  # noqa: ARG002 - it has one model
        """Read `/info`."""
        (said_info,) = said
        try:
            msgspec.json.decode(said_info)  # all of it: what is passed on raw is not looked into otherwise
            info, about = _decode_info(said_info), _decode_members(said_info)
            deciding = (info.model_type, info.model_sha, info.model_dtype, info.max_input_length, info.auto_truncate)
            details = _encode_sorted(deciding).decode()
        except NOT_AS_ASKED:
            return NO_CARD
        kind, pooling = _kind(info.model_type)
        in_flight_inputs_max = _limit(info.max_concurrent_requests)
        input_tokens_max = _limit(info.max_input_length)
        identity = None
        if model := _text(info.model_id):
            identity = Identity(
                model=model,
                revision=_text(info.model_sha),
                dtype=_text(info.model_dtype),
                kind=kind,
                pooling=pooling,
                input_tokens_max=input_tokens_max,
                cuts_inputs=info.auto_truncate if isinstance(info.auto_truncate, bool) else None,
                details=details,
            )
        return Card(
            name=_text(info.served_model_name) or model or "",
            kind=kind,
            identity=identity,
            # A list longer than the permits can never succeed.
            inputs_max=min(_limit(info.max_client_batch_size), in_flight_inputs_max),
            in_flight_inputs_max=in_flight_inputs_max,
            input_tokens_max=input_tokens_max,
            batch_tokens_max=_limit(info.max_batch_tokens),
            pass_inputs_max=_limit(info.max_batch_requests),
            about=about,
        )

    def ask_counts(self, texts: Sequence[bytes]) -> Post | None:
        """Return a call of `/tokenize`."""
        return Post(TOKENIZE, b'{"inputs":[%b]}' % b",".join(texts))

    def counts(self, answer: Answer, count: int) -> list[int]:
        """Count the tokens that `/tokenize` lists."""
        try:
            rows = _decode_tokens(answer.body)
        except NOT_AS_ASKED as exc:
            raise UpstreamProtocolError("The upstream's answer is not an array of tokens") from exc
        if len(rows) != count:
            raise UpstreamProtocolError(f"The upstream tokenized {len(rows)} texts of {count}")
        return list(map(len, rows))

    def counted(self, answer: Answer) -> int | None:
        """Read the header."""
        said = answer.measures.get(TOKENS_HEADER, "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 12 else None

    def counts_known(self, inputs: Sequence[bytes]) -> None:  # noqa: ARG002
        """Return nothing: the upstream counts."""
        return


def _members(options: Options) -> bytes:
    """The options that are not defaults, as JSON members."""
    members = []
    if options.truncate is not None:
        members.append(b'"truncate":true' if options.truncate else b'"truncate":false')
    if options.truncation_direction == "left":
        members.append(b'"truncation_direction":"Left"')  # the spelling that all versions know
    if options.prompt_name is not None:
        members.append(b'"prompt_name":%b' % _encode(options.prompt_name))
    if not options.normalize:
        members.append(b'"normalize":false')
    if options.dimensions is not None:
        members.append(b'"dimensions":%d' % options.dimensions)
    if options.raw_scores:
        members.append(b'"raw_scores":true')
    return b",".join(members)


def _says_another_model(answer: Answer) -> bool:
    return answer.status == 424 and _is_of_another_model(answer.body) is not None


def _kind(model_type: object) -> tuple[ModelKind, str | None]:
    """ModelKind and pooling of `{"embedding":{"pooling":"mean"}}`, `{"classifier":...}` or `{"reranker":...}`."""
    kinds = model_type if isinstance(model_type, dict) else {}
    if "classifier" in kinds:
        return "classifier", None
    if "reranker" in kinds:
        return "reranker", None
    embedding = kinds.get("embedding")
    pooling = _text(embedding.get("pooling")) if isinstance(embedding, dict) else None
    return ("sparse" if pooling == "splade" else "embedding"), pooling


def _text(said: object) -> str | None:
    return said if isinstance(said, str) and said else None


def _limit(said: object) -> int:
    """The limit that was named; what is no positive number limits nothing."""
    return said if type(said) is int and 0 < said < UNKNOWN_MAX else UNKNOWN_MAX
