"""Servers with OpenAI's `POST /v1/embeddings`: vLLM, Ollama, llama.cpp, infinity, paid APIs. Pure.

1. Vectors are asked for in base64: a quarter of the bytes, and each number is float32 as it was computed. A server that does not
   know the format answers with arrays, which are taken as well. Without numpy arrays are asked for.
2. Only what every such server can do is computed: vectors of the default options, or of a number of `dimensions`. `truncate: true`
   is what these servers do with a text that is too long, or they refuse it. Other options are refused here, and named.
3. Its model is UPSTREAM_MODEL; else the one of `/v1/models` that has the model's name here, or an alias; else the namespace's, as long
   as it is listed there; else the first, unless the model has a name here and several are listed: then none is called. Ollama lists
   the one that was fetched last first.
4. It is well while it lists its models, or has no such list. What `/health` does is each server's own: LiteLLM's calls every
   model, which is billed.
5. The API is below `/v1` of the URL, or, as infinity's, right below it: which of both, its list of models shows.

Source: OpenAI's API reference, `POST /v1/embeddings` and `GET /v1/models`; `max_model_len` is vLLM's, `meta` llama.cpp's.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from autobatch_batcher.dialects.base import SAMPLE_TEXT, Answer, Condition, Get, Post, Question, TokensSaid, WantedModel
from autobatch_batcher.dialects.embed_body import EMBED_ROUTES, fault_of_embed
from autobatch_batcher.dialects.openai_errors import as_tei, inputs_max_said, status_meant, tokens_said
from autobatch_batcher.dialects.openai_rows import cut_list, tokens_used
from autobatch_batcher.dialects.verdict import Verdict, by_status
from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX, Card, Identity
from autobatch_shared.contract.errors import NOT_AS_ASKED, InvalidRequest, NotComputed, UpstreamProtocolError
from autobatch_shared.contract.model_names import listed_as
from autobatch_shared.contract.options import Options, unavailable
from autobatch_shared.install_hints import missing_for_base64
from autobatch_shared.settings.choices import is_api_root

V1 = "/v1"
OWN_ROUTES = ("/v1/embeddings", "/embeddings")
NAMED_MAX = 5  # models in one line
#: Statuses of a server that has no list of models, or does not show it.
_NO_LIST = {401, 403, 404, 405, 501}


class _Model(msgspec.Struct):
    """What counts here of one entry of `/v1/models`. Whatever has another type than it should says nothing."""

    id: str
    root: Any = None
    max_model_len: Any = None
    meta: Any = None


class _Models(msgspec.Struct):
    data: list[_Model]


_decode_models = msgspec.json.Decoder(_Models).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class OpenAI:
    """The dialect.

    Args:
        root: The path below the upstream's URL at which its API begins.
        model: UPSTREAM_MODEL; None: one that the upstream lists.
        names: What the model is called here, its name first; empty: it has no name.
        hint: What to type before vectors can be asked for in base64; empty: they are.
        name: What the upstream calls its model, as far as it has said so.
    """

    kind = "openai"
    sample = SAMPLE_TEXT
    says_limits = False

    def __init__(
        self, root: str = V1, model: str | None = None, *, names: Sequence[str] = (), hint: str = "", name: str = ""
    ) -> None:
        self.ask_health: Question = Get(f"{root}/models")
        self.ask_card: tuple[Question, ...] = (self.ask_health,)
        self._root = root
        self._path = f"{root}/embeddings"
        self._configured = model
        self._names = names
        self.hint = hint
        self._name = name or model or ""
        members = b',"encoding_format":"float"' if hint else b',"encoding_format":"base64"'
        self._members = members + (b',"model":%b' % _encode(self._name) if self._name else b"")
        self.growth_bytes_max = len(self._members) + 8  # `{"input":["a"]}` of `{"inputs":"a"}`, and a name of an option

    @classmethod
    def for_upstream(cls, url: str, model: WantedModel) -> tuple["OpenAI", ...]:
        """Return the dialect for each path at which the API may begin."""
        hint = missing_for_base64()
        roots = ("",) if is_api_root(url) else (V1, "")
        return tuple(cls(root, model.name, names=model.names, hint=hint) for root in roots)

    def knowing(self, card: Card) -> "OpenAI":
        """Return the dialect of the model that the card names."""
        if card.name == self._name:
            return self
        return OpenAI(self._root, self._configured, names=self._names, hint=self.hint, name=card.name)

    def compose(self, route: str, inputs: Collection[bytes], options: Options | None) -> Post:
        """Return `{"input": [...], ...}`.

        Raises:
            NotComputed: The route is another one than `/embed`.
            InvalidRequest: It has an option that OpenAI's API has not.
        """
        if route != "/embed":
            raise _not_computed(route)
        return Post(self._path, b'{"input":[%b]%b}' % (b",".join(inputs), self._ending(options)))

    def pass_on(self, route: str, body: bytes, content_type: str | None) -> Post:
        """Return a request for `/v1/embeddings`, with the upstream's name for its model; say what is wrong with any other.

        llama-cpp-python answers 500 to what is no text, and to an empty list.
        """
        if route in OWN_ROUTES:
            return Post(self._path, self._renamed(body), content_type, may_be_faulty=True)
        if route not in EMBED_ROUTES:
            raise _not_computed(route)
        raise fault_of_embed(body)

    def understood(self, answer: Answer) -> Answer:
        """Return an error as TEI writes it; some servers and gateways answer errors with status 200."""
        status = status_meant(answer)
        return answer if status == 200 else as_tei(answer, status)

    def envelope_bytes(self, options: Options | None) -> int:
        """Return the bytes around the inputs."""
        return (
            len(b'{"input":[]}') + len(self._members) + 40 * (options is not None)
        )  # at most 19 digits of `dimensions`

    def cut(self, answer: Answer, route: str, count: int, may_be_empty: Collection[int]) -> list[bytes]:  # noqa: ARG002
        """Return the vectors in the order of their `index`, each as an array."""
        return cut_list(answer.body, count)

    def judge(self, answer: Answer, jobs: int, *, is_verbatim: bool, may_retry: bool) -> Verdict:
        """Judge by the status, and by what a 429 says of the account."""
        if answer.is_final:
            return Verdict.TELL
        return by_status(answer.status, jobs, is_verbatim=is_verbatim, may_retry=may_retry)

    def condition(self, answer: Answer) -> Condition:
        """Its own failures are those from 500 on."""
        return Condition.FAILING if answer.status >= 500 else Condition.WELL

    def inputs_max_said(self, answer: Answer, inputs: int) -> int | None:
        """Read it in the error's text."""
        return inputs_max_said(answer.body, inputs)

    def tokens_said(self, answer: Answer) -> TokensSaid | None:
        """Read it in the error's text."""
        return tokens_said(answer.body)

    def is_well(self, status: int, _said: bytes, /) -> bool:
        """One that has no list is well if it computes."""
        return status == 200 or status in _NO_LIST

    def card(self, *said: bytes, kept: str = "") -> Card:
        """Read `/v1/models`; of one that has not said anything, its model is known if it is configured."""
        (models,) = said
        try:
            listed = _decode_models(models).data if models else []
            names = [each.id for each in listed]
            named = self._configured or self._chosen(list(dict.fromkeys(names)), kept)
            model = next((each for each in listed if each.id == named), _Model(named))
            details = _encode_sorted(("openai", model.root, model.max_model_len, model.meta)).decode()
        except NOT_AS_ASKED:
            return NO_CARD
        if not named:
            return NO_CARD
        limit = model.max_model_len
        input_tokens_max = limit if type(limit) is int and 0 < limit < UNKNOWN_MAX else UNKNOWN_MAX
        about = {"model_id": msgspec.Raw(_encode(named)), "model_type": msgspec.Raw(b'{"embedding":{}}')}
        if input_tokens_max < UNKNOWN_MAX:
            about["max_input_length"] = msgspec.Raw(b"%d" % input_tokens_max)
        return Card(
            name=named,
            identity=Identity(model=named, input_tokens_max=input_tokens_max, details=details),
            input_tokens_max=input_tokens_max,
            about=about,
        )

    def ask_counts(self, texts: Sequence[bytes]) -> None:  # noqa: ARG002
        """Return nothing: OpenAI's API counts with the call only."""
        return

    def counts(self, answer: Answer, count: int) -> list[int]:
        """Raise: it was never asked."""
        raise UpstreamProtocolError(f"The upstream was not asked for {count} counts, and answered {answer.status}")

    def counted(self, answer: Answer) -> int | None:
        """Read `usage`."""
        return tokens_used(answer.body) if answer.status == 200 else None

    def counts_known(self, inputs: Sequence[bytes]) -> None:  # noqa: ARG002
        """Return nothing: the upstream counts."""
        return

    def _chosen(self, listed: Sequence[str], kept: str) -> str:
        """The model to ask for, of those that are listed; empty where there are none."""
        chosen = listed_as(self._names, listed) or (kept if kept in listed else "")
        if not chosen and self._names and len(listed) > 1:
            several = ", ".join(listed[:NAMED_MAX])
            raise UpstreamProtocolError(
                f"it lists the models {several}, and none is called {self._names[0]}: UPSTREAM_MODEL"
            )
        return chosen or next(iter(listed), "")

    def _ending(self, options: Options | None) -> bytes:
        if options is None:
            return self._members
        for field, is_default in (
            ("truncate", options.truncate is not False),
            ("truncation_direction", options.truncation_direction == "right"),
            ("prompt_name", options.prompt_name is None),
            ("normalize", options.normalize),
        ):
            if not is_default:
                raise InvalidRequest(f"{unavailable(field)}: the upstream has OpenAI's API")
        dimensions = b"" if options.dimensions is None else b',"dimensions":%d' % options.dimensions
        return self._members + dimensions

    def _renamed(self, body: bytes) -> bytes:
        """A body with the upstream's name for its model; one that is not an object is the upstream's to refuse."""
        if not self._name:
            return body
        try:
            members = _decode_members(body)
        except NOT_AS_ASKED:
            return body
        return _encode({**members, "model": self._name})


def _not_computed(route: str) -> NotComputed:
    return NotComputed(
        f"Backend error: `{route}` is not available: the upstream has OpenAI's API, which has vectors only"
    )
