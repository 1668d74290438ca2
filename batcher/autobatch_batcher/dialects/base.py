"""What the batcher asks of a dialect: how one kind of upstream is spoken to. Pure: bytes in, bytes out.

A dialect is one file of this folder, a line in `autobatch_shared.settings.choices`, and a test class that all dialects pass. It knows no job, no
deadline and no connection: `calling` decides what is sent when, `upstreams` sends it.

Whatever an upstream's own answers look like, the rows that `cut` returns are those that clients' answers are made of:

    /embed          [0.1, ...]                        a vector, all of one length
    /embed_all      [[0.1, ...], ...]                 a vector a token, all of one length
    /embed_sparse   [{"index": 1, "value": 0.1}, ...]
    /predict        [{"score": 0.9, "label": "a"}, ...]
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pkgutil import resolve_name
from typing import Protocol

import msgspec

from autobatch_batcher.dialects.text_tokens import TokenIds
from autobatch_batcher.dialects.verdict import Verdict
from autobatch_shared.contract.capacity import SaidLimit
from autobatch_shared.contract.cards import Card
from autobatch_shared.contract.options import Options
from autobatch_shared.settings.choices import AUTO, DIALECTS, OVER_GRPC, OVER_HTTP, is_grpc

JSON = "application/json"


class Get(msgspec.Struct, frozen=True):
    """A question to an upstream about itself.

    Attributes:
        path: The path below the upstream's URL.
    """

    path: str


class Post(msgspec.Struct, frozen=True):
    """One call to an upstream, or a question about itself that has a body.

    Attributes:
        path: The path below the upstream's URL.
        body: The body as it goes over the wire.
        content_type: The body's content type; None: the call has none.
        may_be_faulty: Whether an upstream that fails on it may be well, because it is what a client wrote.
        trace: Headers that name the span of the call; empty: it is not traced.
    """

    path: str
    body: bytes
    content_type: str | None = JSON
    may_be_faulty: bool = False
    trace: dict[str, str] = {}


Question = Get | Post


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream answered.

    Attributes:
        measures: Its headers of `autobatch_shared.contract.call_headers.MEASURES`.
        was_sent_again: Whether the call was sent twice, because a kept connection had ended.
        left: What it says is left of its limits, where that is read, by their kinds.
        is_final: Whether a later call would be answered so, too, though its status is 429: the account has no quota left.
        rows: Its rows, once they were cut.
        flaw: Why its body could not be read, and is empty; empty where it could.
    """

    status: int
    content_type: str
    body: bytes
    retry_after: str | None
    measures: dict[str, str] = field(default_factory=dict)
    was_sent_again: bool = False
    left: dict[str, SaidLimit] = field(default_factory=dict)
    is_final: bool = False
    rows: list[bytes] = field(default_factory=list)
    flaw: str = ""


class AskedRows(msgspec.Struct, frozen=True):
    """The rows that a call asks for.

    Attributes:
        route: What is computed, by the name of TEI's route.
        inputs: The inputs, each as JSON.
        may_be_empty: Places of inputs that may have no tokens, and then no vector of `/embed_all`.
    """

    route: str
    inputs: Collection[bytes]
    may_be_empty: Collection[int] = ()


SAMPLE_TEXT = b'"What is the dimension of a vector?"'


class Condition(Enum):
    """What an answer says of the upstream that gave it."""

    WELL = auto()
    FAILING = auto()  # so many in a row take it out: see `upstreams.breaker`
    UNKNOWN = auto()


class TokensSaid(msgspec.Struct, frozen=True):
    """A refusal of a call whose inputs have too many tokens together.

    Attributes:
        limit: The most that they may have; 0: it does not say.
        had: How many they had; 0: it does not say.
    """

    limit: int = 0
    had: int = 0


class Dialect(Protocol):
    """One kind of upstream: its calls, and what it says of itself.

    Attributes:
        kind: Its word in the table of INFERENCE_DIALECT.
        sample: An input, as JSON, whose vector shows how long all are.
        hint: What to type here so that it costs less; empty: nothing.
        says_limits: Whether the card has all limits, so that a list within them is refused only because of an input.
        ask_health: The question whose answer says whether the upstream works: see `is_well`.
        ask_card: The questions whose answers describe the upstream; one that does not know the first does not describe itself.
        growth_bytes_max: Bytes by which a call for one request may be longer than the request's own body.
    """

    kind: str
    sample: bytes
    hint: str
    says_limits: bool
    ask_health: Question
    ask_card: tuple[Question, ...]
    growth_bytes_max: int

    def knowing(self, card: Card) -> "Dialect":
        """Return the dialect for an upstream that has this card; itself, where that changes nothing."""
        ...

    def compose(self, route: str, inputs: Collection[bytes], options: Options | None) -> Post:
        """Return the call that computes these inputs.

        Args:
            route: What is computed, by the name of TEI's route: see the module's table.
            inputs: The inputs, each as JSON: strings, lists of token ids, or what else the route takes.
            options: How the inputs are computed; None: all defaults.

        Raises:
            NotComputed: The upstream has no such route.
            InvalidRequest: It has not one of these options.
        """
        ...

    def pass_on(self, route: str, body: bytes, content_type: str | None) -> Post:
        """Return the call for a client's request that travels as it came, in TEI's words.

        What is not plainly a request travels so, too: an upstream that does not speak TEI's API cannot say what is wrong with it.

        Raises:
            InvalidRequest: The upstream computes this route, but the body is not plainly a request for it.
            NotComputed: The upstream has no such route.
        """
        ...

    def understood(self, answer: Answer) -> Answer:
        """Return an answer as HTTP means it: with the status of what became of the call, before anything else looks at it.

        An upstream may write its errors into answers of status 200, or as something that clients of TEI's API do not read. The
        body of an error is passed on to clients: `{"error": "...", "error_type": "..."}`.
        """
        ...

    def envelope_bytes(self, options: Options | None) -> int:
        """Return the bytes of a call without any inputs; each input adds its own and a comma."""
        ...

    def cut(self, answer: Answer, route: str, count: int, may_be_empty: Collection[int]) -> list[bytes]:
        """Return the rows of a good answer, in the order of the inputs, without parsing floats.

        Args:
            answer: The answer to a call that `compose` made, as `understood` returned it.
            route: The route that `compose` was given.
            count: Number of inputs in the call.
            may_be_empty: Places of inputs that may have no tokens, and then no vector of `/embed_all`.

        Raises:
            UpstreamProtocolError: It has another number of rows, or something that is not a row of this route.
        """
        ...

    def judge(self, answer: Answer, jobs: int, *, is_verbatim: bool, may_retry: bool) -> Verdict:
        """Return what to do with an answer.

        Args:
            answer: The answer to a call, as `understood` returned it.
            jobs: Number of different jobs in the call.
            is_verbatim: Whether the call was made by `pass_on`.
            may_retry: Whether there are attempts left.
        """
        ...

    def condition(self, answer: Answer) -> Condition:
        """Return what an answer says of the upstream."""
        ...

    def inputs_max_said(self, answer: Answer, inputs: int) -> int | None:
        """Return the most inputs that a call may have, where the error to one that had more says so.

        Args:
            answer: The error, as `understood` returned it.
            inputs: Number of inputs that the call had.
        """
        ...

    def tokens_said(self, answer: Answer) -> TokensSaid | None:
        """Return what an error says of the tokens of a call's inputs together; None where they were not too many."""
        ...

    def is_well(self, status: int, said: bytes, /) -> bool:
        """Whether the answer to `ask_health` says that the upstream works."""
        ...

    def card(self, *said: bytes, kept: str = "") -> Card:
        """Return the upstream's card, of what it says to each question of `ask_card`; NO_CARD of what is not understood.

        What it says to a question that it does not know is empty. One that has several models, of which none is configured, has
        the card of the one that has a name of ours, else of the one that is called `kept`, the namespace's, as long as it has it.
        `about` has the members of TEI's `/info` that clients are told; without any, `/info` is answered 503.

        Raises:
            UpstreamProtocolError: It has several models, and which of them is meant cannot be told.
        """
        ...

    def ask_counts(self, texts: Sequence[bytes]) -> Post | None:
        """Return the call that counts the tokens of each text, JSON strings; None: there is none."""
        ...

    def counts(self, answer: Answer, count: int) -> list[int]:
        """Return the number of tokens of each of `count` texts, of an answer to `ask_counts`.

        Raises:
            UpstreamProtocolError: It is no such answer.
        """
        ...

    def counted(self, answer: Answer) -> int | None:
        """Return the tokens of all inputs of a call, where its answer says so."""
        ...

    def counts_known(self, inputs: Sequence[bytes]) -> list[int] | None:
        """Return the number of tokens of each input, JSON, where that is known without asking; None: it is not."""
        ...


@dataclass(frozen=True, slots=True)
class WantedModel:
    """What is configured of an upstream's model; each empty: what the upstream says of itself.

    Attributes:
        name: UPSTREAM_MODEL.
        version: UPSTREAM_MODEL_VERSION.
        inputs: UPSTREAM_INPUT: the names of its input tensors.
        output: UPSTREAM_OUTPUT: the name of the output tensor with the vectors.
        dimension: UPSTREAM_DIMENSION: the components of a vector.
        tokens_max: UPSTREAM_TOKENS_MAX: the most tokens of an input; None: any number.
        token_ids: Makes the token ids of texts; None without TOKENIZER_FILE.
        names: SERVED_MODEL_NAME and MODEL_ALIASES: what clients call it.
    """

    name: str | None = None
    version: str = ""
    inputs: tuple[str, ...] = ()
    output: str = ""
    dimension: int | None = None
    tokens_max: int | None = None
    token_ids: TokenIds | None = None
    names: tuple[str, ...] = ()


def dialects_of(kind: str, url: str, model: WantedModel) -> tuple[Dialect, ...]:
    """Return the dialects that an upstream may speak, the likeliest first.

    Args:
        kind: A word of INFERENCE_DIALECT.
        url: The upstream's URL.
        model: What is configured of its model.
    """
    words = (kind,) if kind != AUTO else OVER_GRPC if is_grpc(url) else OVER_HTTP
    return tuple(each for word in words for each in resolve_name(DIALECTS[word].place).for_upstream(url, model))
