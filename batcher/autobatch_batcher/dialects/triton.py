"""Servers that speak the Open Inference Protocol (KServe v2) over gRPC: Triton, and others such as MLServer. Pure.

1. A call is one `ModelInfer`. The input is BYTES, a text each, or INT64, the token ids of each and their mask, which are made of
   texts where TOKENIZER_FILE is configured; the output is float, a row each. Its shape is compared with what was asked, and its content with its shape.
2. What the model is called is configured; its tensors' names are what `ModelMetadata` says, unless they are configured.
3. `ModelConfig` is Triton's own: where it is not known, a call may have as many inputs as we are configured for.
4. Only `/embed` with its default options is computed: how vectors are made is inside the model. Where texts are cut is not, if their
   token ids are made here.
5. `ModelReady` is its health, and not `ServerReady`: that one is also false while any other model of the server cannot be loaded.

More than 250 lines, because a dialect is one file: what it asks, composes, judges and cuts.

Source: open-inference-protocol; Triton's documents of its extension "model configuration".
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
from google.protobuf.message import DecodeError

from autobatch_batcher.dialects.base import JSON, SAMPLE_TEXT, Answer, Condition, Post, Question, WantedModel
from autobatch_batcher.dialects.embed_body import EMBED_ROUTES, fault_of_embed
from autobatch_batcher.dialects.kserve.tensors import FLOATS, rows_of, text_tensor, token_tensors
from autobatch_batcher.dialects.verdict import Verdict, by_status
from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX, Card, Identity
from autobatch_shared.contract.errors import NOT_AS_ASKED, InvalidRequest, NotComputed, UpstreamProtocolError
from autobatch_shared.contract.options import Options, unavailable
from autobatch_shared.kserve import SERVICE
from autobatch_shared.kserve import kserve_pb2 as kserve

TEXT_MAX = 300  # characters of the server's own words that travel on
TOKEN_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_ERROR_TYPES = {400: "Validation", 429: "Overloaded", 503: "Unhealthy"}
_decode_text = msgspec.json.Decoder(str).decode
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_decode_ids = msgspec.json.Decoder(Annotated[list[_Id], msgspec.Meta(min_length=1)]).decode
_encode = msgspec.json.Encoder().encode


class ModelTensors(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model takes and gives.

    Attributes:
        inputs: Names of its inputs.
        datatype: Of its inputs: BYTES or INT64.
        dimensions: Number of dimensions of an input.
        output: Name of the output that has the vectors.
        width: Number of token ids that each row must have; 0: any.
        tokens_max: The most tokens of an input; 0: any number.
        tokenizer: What makes token ids of texts, as of `TokenIds.identity`; empty: nothing.
    """

    inputs: tuple[str, ...]
    datatype: str
    dimensions: int
    output: str
    width: int = 0
    tokens_max: int = 0
    tokenizer: str = ""


_decode_tensors = msgspec.json.Decoder(ModelTensors).decode


class Triton:
    """The dialect.

    Args:
        wanted: What is configured of it.
        tensors: What the model takes and gives, as far as it has said so.
    """

    kind = "triton"
    hint = ""
    says_limits = False

    def __init__(self, wanted: WantedModel, tensors: ModelTensors | None = None) -> None:
        self._wanted = wanted
        self._tensors = tensors
        of_model = kserve.ModelMetadataRequest(name=wanted.name or "", version=wanted.version).SerializeToString()
        self.ask_health: Question = _post("ModelReady", of_model)
        self.ask_card: tuple[Question, ...] = (_post("ModelMetadata", of_model), _post("ModelConfig", of_model))
        self.sample = SAMPLE_TEXT if tensors is None or tensors.datatype == "BYTES" else b"[0]"
        self._envelope = kserve.ModelInferRequest(model_name=wanted.name or "", model_version=wanted.version)
        self._envelope_bytes = 100 + len(of_model) + (len(_encode(tensors)) if tensors is not None else 0)
        self.growth_bytes_max = min(self._envelope_bytes, 999)

    @classmethod
    def for_upstream(cls, _url: str, model: WantedModel) -> tuple["Triton", ...]:
        """Return the dialect for the model, whose name is not asked for: a server may have any number."""
        return (cls(model),)

    def knowing(self, card: Card) -> "Triton":
        """Return the dialect for the tensors that the card names."""
        try:
            tensors = _decode_tensors(card.identity.details) if card.identity is not None else None
        except NOT_AS_ASKED:
            tensors = None
        return self if tensors == self._tensors else Triton(self._wanted, tensors)

    def compose(self, route: str, inputs: Collection[bytes], options: Options | None) -> Post:
        """Return a `ModelInfer`.

        Raises:
            NotComputed: The route is another one than `/embed`, or the model is not known.
            InvalidRequest: It has an option that such a model has not, or an input that is not what the model takes.
        """
        if route != "/embed":
            raise _not_computed(route)
        if options is not None:
            _refuse_options(options, may_say_truncate=self._makes_ids)
        if self._tensors is None:
            raise NotComputed(
                f"Backend error: the upstream has no model `{self._wanted.name or ''}` with one input of texts, or inputs of token "
                "ids, and one output of floats: see UPSTREAM_MODEL, UPSTREAM_INPUT and UPSTREAM_OUTPUT"
            )
        call = kserve.ModelInferRequest()
        call.CopyFrom(self._envelope)
        if self._tensors.output:
            call.outputs.add(name=self._tensors.output)
        if self._tensors.datatype == "BYTES":
            call.inputs.append(text_tensor(self._tensors.inputs[0], self._tensors.dimensions, _texts(inputs)))
        else:
            ids = self._ids(self._tensors, inputs, cuts=options is None or options.truncate is not False)
            own = self._wanted.token_ids
            for tensor, content in token_tensors(
                self._tensors.inputs,
                ids,
                width=self._tensors.width,
                pad_id=0 if own is None else own.pad_id,
                pads_left=own is not None and own.pads_left,
            ):
                call.inputs.append(tensor)
                call.raw_input_contents.append(content)
        return _post("ModelInfer", call.SerializeToString())

    def pass_on(self, route: str, body: bytes, content_type: str | None) -> Post:
        """Raise: no client's body is one of this protocol.

        Raises:
            NotComputed: Of another route.
            InvalidRequest: Of `/embed`.
        """
        del content_type
        if route in EMBED_ROUTES:
            raise fault_of_embed(body)
        if route in ("/v1/embeddings", "/embeddings"):
            raise InvalidRequest("The body is not plainly a request for embeddings, and the upstream has another API")
        raise _not_computed(route)

    def understood(self, answer: Answer) -> Answer:
        """Return an error as TEI writes it: the first line of what the server says, without what its model was doing."""
        if answer.status == 200 or answer.content_type == JSON:
            return answer
        text = answer.body.decode(errors="replace").partition("Traceback")[0].partition("\n")[0].strip()
        error = {
            "error": f"Backend error: {text[:TEXT_MAX]}" if text else f"The upstream answered {answer.status}",
            "error_type": _ERROR_TYPES.get(answer.status, "Backend"),
        }
        return replace(answer, content_type=JSON, body=_encode(error))

    def envelope_bytes(self, options: Options | None) -> int:
        """Return the bytes around the inputs, at most."""
        del options
        return self._envelope_bytes

    def cut(self, answer: Answer, route: str, count: int, may_be_empty: Collection[int]) -> list[bytes]:
        """Return the rows of the output, printed as TEI prints float32."""
        del route, may_be_empty
        try:
            said = kserve.ModelInferResponse.FromString(answer.body)
        except DecodeError as exc:
            raise UpstreamProtocolError("The upstream's answer is not a ModelInferResponse") from exc
        return rows_of(said, self._tensors.output if self._tensors is not None else "", count, self._wanted.dimension)

    def judge(self, answer: Answer, jobs: int, *, is_verbatim: bool, may_retry: bool) -> Verdict:
        """Judge by the status."""
        return by_status(answer.status, jobs, is_verbatim=is_verbatim, may_retry=may_retry)

    def condition(self, answer: Answer) -> Condition:
        """Its own failures are those from 500 on."""
        return Condition.FAILING if answer.status >= 500 else Condition.WELL

    def inputs_max_said(self, answer: Answer, inputs: int) -> int | None:
        """Return nothing: its limit is on the card."""
        del answer, inputs
        return None

    def tokens_said(self, answer: Answer) -> None:
        """Return nothing: it counts none."""
        del answer

    def is_well(self, status: int, said: bytes, /) -> bool:
        """Read `ModelReady`."""
        try:
            return status == 200 and kserve.ModelReadyResponse.FromString(said).ready
        except DecodeError:
            return False

    def card(self, *said: bytes, kept: str = "") -> Card:  # noqa: ARG002 - its model is always configured
        """Read `ModelMetadata` and `ModelConfig`."""
        said_metadata, said_config = (*said, b"")[:2]  # of one that does not know the model, the first only
        try:
            metadata = kserve.ModelMetadataResponse.FromString(said_metadata)
            inputs_max = kserve.ModelConfigResponse.FromString(said_config).config.max_batch_size
        except DecodeError:
            return NO_CARD
        tensors = self._tensors_of(metadata)
        if not metadata.name or tensors is None:
            return NO_CARD
        dtype = next(output.datatype for output in metadata.outputs if output.name == tensors.output)
        return Card(
            name=metadata.name,
            identity=Identity(
                model=metadata.name,
                revision=",".join(sorted(metadata.versions)) or None,
                dtype=dtype,
                details=_encode(tensors).decode(),
            ),
            input_tokens_max=tensors.tokens_max or UNKNOWN_MAX,
            inputs_max=inputs_max if 0 < inputs_max < UNKNOWN_MAX else UNKNOWN_MAX,
            about={
                "model_id": msgspec.Raw(_encode(metadata.name)),
                "model_sha": msgspec.Raw(b"null"),
                "model_dtype": msgspec.Raw(_encode(dtype)),
                "model_type": msgspec.Raw(b'{"embedding":{}}'),
                **({"max_input_length": msgspec.Raw(b"%d" % tensors.tokens_max)} if tensors.tokens_max else {}),
            },
        )

    def ask_counts(self, texts: Sequence[bytes]) -> None:
        """Return nothing: the protocol counts no tokens."""
        del texts

    def counts(self, answer: Answer, count: int) -> list[int]:
        """Raise: it was never asked."""
        raise UpstreamProtocolError(f"The upstream was not asked for {count} counts, and answered {answer.status}")

    def counted(self, answer: Answer) -> None:
        """Return nothing: the protocol counts no tokens."""
        del answer

    def counts_known(self, inputs: Sequence[bytes]) -> list[int] | None:
        """Count by TOKENIZER_FILE, as far as the model reads an input; token ids are as many as they are."""
        tensors, token_ids = self._tensors, self._wanted.token_ids
        try:
            if tensors is not None and tensors.datatype != "BYTES":
                return list(map(len, self._ids(tensors, inputs, cuts=True)))
            if token_ids is not None:
                return list(map(len, token_ids.of(_texts(inputs), self._wanted.tokens_max)))
        except InvalidRequest:  # the model was not of that opinion
            pass
        return None

    @property
    def _makes_ids(self) -> bool:
        return self._tensors is not None and self._tensors.datatype != "BYTES" and self._wanted.token_ids is not None

    def _ids(self, tensors: ModelTensors, inputs: Collection[bytes], *, cuts: bool) -> list[list[int]]:
        """The token ids of each input; those of texts by TOKENIZER_FILE.

        Raises:
            InvalidRequest: One is neither, or has more tokens than the model takes.
        """
        token_ids, tokens_max = self._wanted.token_ids, tensors.tokens_max or None
        texts = [each for each in inputs if each.startswith(b'"')]
        if token_ids is None or not texts:
            ids = _ids(inputs)
        else:
            of_texts = iter(token_ids.of(_texts(texts), tokens_max if cuts else None))
            ids = [next(of_texts) if each.startswith(b'"') else _ids([each])[0] for each in inputs]
        if tokens_max is not None and (most := max(map(len, ids))) > tokens_max:
            raise InvalidRequest(
                f"Input validation error: `inputs` must have at most {tokens_max} tokens. Given: {most}"
            )
        return ids

    def _tensors_of(self, metadata: kserve.ModelMetadataResponse) -> ModelTensors | None:
        """Which of a model's tensors are used; None where they are not as configured, or not such as make vectors."""
        wanted = self._wanted.inputs or tuple(each.name for each in metadata.inputs)
        inputs = [each for each in metadata.inputs if each.name in wanted]
        datatypes = {each.datatype for each in inputs}
        outputs = [
            each for each in metadata.outputs if each.datatype in FLOATS and self._wanted.output in ("", each.name)
        ]
        is_texts = datatypes == {"BYTES"} and len(inputs) == 1
        is_tokens = datatypes == {"INT64"} and all(each.name.endswith(TOKEN_INPUTS) for each in inputs)
        if len(inputs) != len(wanted) or len(outputs) != 1 or not (is_texts or is_tokens):
            return None
        shape, names = inputs[0].shape, tuple(each.name for each in inputs)
        if is_texts:
            return ModelTensors(names, "BYTES", len(shape), outputs[0].name)
        width = max(shape[-1], 0) if len(shape) > 1 else 0
        token_ids, tokens_max = self._wanted.token_ids, self._wanted.tokens_max or width
        return ModelTensors(
            names,
            inputs[0].datatype,
            len(shape),
            outputs[0].name,
            width,
            min(tokens_max, width or tokens_max),
            "" if token_ids is None else token_ids.identity,
        )


def _post(method: str, body: bytes) -> Post:
    return Post(SERVICE + method, body, None)


def _texts(inputs: Iterable[bytes]) -> list[str]:
    try:
        return [_decode_text(each) for each in inputs]
    except NOT_AS_ASKED as exc:
        raise InvalidRequest("Input validation error: the upstream's model takes texts only") from exc


def _ids(inputs: Iterable[bytes]) -> list[list[int]]:
    try:
        return [_decode_ids(each) for each in inputs]
    except NOT_AS_ASKED as exc:
        raise InvalidRequest(
            "Input validation error: the upstream's model takes lists of token ids only, unless there is TOKENIZER_FILE"
        ) from exc


def _refuse_options(options: Options, *, may_say_truncate: bool) -> None:
    for field, is_default in (
        ("truncate", options.truncate is not False or may_say_truncate),
        ("truncation_direction", options.truncation_direction == "right"),
        ("prompt_name", options.prompt_name is None),
        ("normalize", options.normalize),
        ("dimensions", options.dimensions is None),
    ):
        if not is_default:
            raise InvalidRequest(f"{unavailable(field)}: the upstream's model has no such input")


def _not_computed(route: str) -> NotComputed:
    return NotComputed(
        f"Backend error: `{route}` is not available: the upstream is a model server, which has vectors only"
    )
