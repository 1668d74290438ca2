"""The Open Inference Protocol as the batcher speaks it: what is asked, tensors in and out, what a model says of itself."""

import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.base import JSON, Answer, Condition, Post, WantedModel
from autobatch_batcher.dialects.triton import ModelTensors, Triton
from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX
from autobatch_shared.contract.errors import InvalidRequest, NotComputed, UpstreamProtocolError
from autobatch_shared.contract.options import Options
from autobatch_shared.kserve import SERVICE
from autobatch_shared.kserve import kserve_pb2 as kserve
from tests.unit.batcher.dialects.contract import DialectContract, answer

NAMES = WantedModel("minilm")
TEXTS = Triton(NAMES, ModelTensors(("text",), "BYTES", 2, "embedding"))
TOKENS = Triton(NAMES, ModelTensors(("input_ids", "attention_mask", "token_type_ids"), "INT64", 2, "embedding"))
Metadata = kserve.ModelMetadataResponse


def packed(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def infer_answer(raw: bytes, shape: Sequence[int], datatype: str = "FP32", name: str = "embedding") -> bytes:
    """Return what Triton answers: the numbers apart from the outputs."""
    output = kserve.ModelInferResponse.Output(name=name, datatype=datatype, shape=shape)
    return packed(kserve.ModelInferResponse(outputs=[output], raw_output_contents=[raw]))


def asked(post: Post) -> kserve.ModelInferRequest:
    return cast("kserve.ModelInferRequest", kserve.ModelInferRequest.FromString(post.body))


class HoldsTexts(DialectContract):
    def holds(self, call: bytes, text: bytes) -> bool:
        return json.loads(text).encode() in kserve.ModelInferRequest.FromString(call).inputs[0].contents.bytes_contents


class TestRawContents(HoldsTexts):
    """As Triton answers."""

    dialect = TEXTS

    def said(self, vectors: Sequence[Sequence[float]]) -> bytes:
        return infer_answer(np.array(vectors, "<f4").tobytes(), (len(vectors), len(vectors[0])))


class TestContents(HoldsTexts):
    """As servers may answer."""

    dialect = TEXTS

    def said(self, vectors: Sequence[Sequence[float]]) -> bytes:
        contents = kserve.Contents(fp32_contents=[each for vector in vectors for each in vector])
        shape = (len(vectors), len(vectors[0]))
        output = kserve.ModelInferResponse.Output(name="embedding", datatype="FP32", shape=shape, contents=contents)
        return packed(kserve.ModelInferResponse(outputs=[output]))


# What is asked.


def test_texts_are_bytes_one_a_row() -> None:
    post = Triton(WantedModel("m", "3"), ModelTensors(("text",), "BYTES", 2, "out")).compose(
        "/embed", [b'"a"', b'"\\u00e9"'], None
    )

    call = asked(post)
    assert (post.path, post.content_type) == (SERVICE + "ModelInfer", None)
    assert (call.model_name, call.model_version, [each.name for each in call.outputs]) == ("m", "3", ["out"])
    assert (call.inputs[0].name, call.inputs[0].datatype, list(call.inputs[0].shape)) == ("text", "BYTES", [2, 1])
    assert list(call.inputs[0].contents.bytes_contents) == [b"a", "é".encode()]


def test_a_model_without_a_second_dimension_gets_none() -> None:
    call = asked(Triton(NAMES, ModelTensors(("text",), "BYTES", 1, "out")).compose("/embed", [b'"a"'], None))

    assert list(call.inputs[0].shape) == [1]


def test_token_ids_are_padded_and_masked() -> None:
    call = asked(TOKENS.compose("/embed", [b"[101,7,102]", b"[101,102]"], None))

    assert [(each.name, each.datatype, list(each.shape)) for each in call.inputs] == [
        (name, "INT64", [2, 3]) for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [np.frombuffer(raw, "<i8").reshape(2, 3).tolist() for raw in call.raw_input_contents] == [
        [[101, 7, 102], [101, 102, 0]],
        [[1, 1, 1], [1, 1, 0]],
        [[0, 0, 0], [0, 0, 0]],
    ]


@pytest.mark.parametrize(
    ("dialect", "inputs"),
    [(TEXTS, b"[1,2]"), (TOKENS, b'"a"'), (TOKENS, b"[1.5]"), (TOKENS, b"[9223372036854775808]"), (TOKENS, b"[]")],
)
def test_an_input_of_the_other_sort_is_the_clients_fault(dialect: Triton, inputs: bytes) -> None:
    with pytest.raises(InvalidRequest):
        dialect.compose("/embed", [inputs], None)


@pytest.mark.parametrize(
    "options",
    [
        Options(normalize=False),
        Options(dimensions=7),
        Options(truncate=False),
        Options(prompt_name="q"),
        Options(truncation_direction="left"),
    ],
)
def test_an_option_that_the_model_has_not_is_refused_and_named(options: Options) -> None:
    with pytest.raises(InvalidRequest, match=r"`[a-z_]+` is not available"):
        TEXTS.compose("/embed", [b'"a"'], options)


@pytest.mark.parametrize("route", ["/embed_sparse", "/embed_all", "/predict", "/rerank"])
def test_a_route_that_makes_no_vectors_is_refused(route: str) -> None:
    with pytest.raises(NotComputed, match=route):
        TEXTS.compose(route, [b'"a"'], None)
    with pytest.raises(NotComputed, match=route):
        TEXTS.pass_on(route, b"{}", JSON)


def test_a_model_that_is_not_known_is_not_asked() -> None:
    with pytest.raises(NotComputed, match="nope"):
        Triton(WantedModel("nope")).compose("/embed", [b'"a"'], None)


# What comes back.

NUMBERS = [0.1, -1e-7, 3.0]


def row(raw: bytes, datatype: str) -> Any:
    (cut,) = TEXTS.cut(answer(infer_answer(raw, (1, 3), datatype)), "/embed", 1, ())
    return cut


def test_numbers_are_the_shortest_text_of_what_was_computed() -> None:
    assert row(np.array(NUMBERS, "<f4").tobytes(), "FP32") == b"[0.1,-1e-7,3.0]"
    assert row(np.array(NUMBERS, "<f8").tobytes(), "FP64") == b"[0.1,-1e-7,3.0]"


def test_half_precision_is_the_same_numbers_as_float32() -> None:
    half = np.array(NUMBERS, "<f2")
    upper = (np.array(NUMBERS, "<f4").view("<u4") >> 16).astype("<u2")

    assert json.loads(row(half.tobytes(), "FP16")) == pytest.approx(half.astype("<f4").tolist(), rel=1e-6)
    assert json.loads(row(upper.tobytes(), "BF16")) == pytest.approx([0.0996, -9.97e-8, 3.0], rel=1e-2)


def test_what_is_not_a_number_is_null() -> None:
    assert row(np.array([np.nan, np.inf, 1], "<f4").tobytes(), "FP32") == b"[null,null,1.0]"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (infer_answer(bytes(24), (1, 2, 3)), r"shape \(1, 2, 3\)"),
        (infer_answer(bytes(24), (2, 3)), r"shape \(2, 3\)"),
        (infer_answer(bytes(12), (3,)), r"shape \(3,\)"),
        (infer_answer(b"", (1, 0)), r"shape \(1, 0\)"),
        (infer_answer(bytes(8), (1, 3)), "content"),
        (infer_answer(bytes(13), (1, 3)), "content"),
        (infer_answer(bytes(12), (1, -3)), "shape"),
        (infer_answer(bytes(12), (1, 3), "INT32"), "INT32"),
        (infer_answer(bytes(12), (1, 3), name="other"), "other"),
        (kserve.ModelInferResponse().SerializeToString(), "none"),
        (b"\xff", "ModelInferResponse"),
    ],
)
def test_an_output_of_another_shape_is_the_upstreams_fault(body: bytes, says: str) -> None:
    """It is never cut at a stride that was only assumed."""
    with pytest.raises(UpstreamProtocolError, match=says):
        TEXTS.cut(answer(body), "/embed", 1, ())


def test_a_vector_of_another_length_than_configured_is_the_upstreams_fault() -> None:
    configured = Triton(WantedModel("m", dimension=384), ModelTensors(("text",), "BYTES", 2, "embedding"))

    with pytest.raises(UpstreamProtocolError, match="384"):
        configured.cut(answer(infer_answer(bytes(12), (1, 3))), "/embed", 1, ())


# What it says of itself and of failures.


def metadata(
    inputs: Sequence[tuple[str, str, list[int]]] = (("text", "BYTES", [-1, 1]),),
    outputs: Sequence[tuple[str, str]] = (("embedding", "FP32"),),
) -> bytes:
    said = Metadata(
        name="minilm",
        versions=["1"],
        platform="python",
        inputs=[Metadata.Tensor(name=name, datatype=datatype, shape=shape) for name, datatype, shape in inputs],
        outputs=[Metadata.Tensor(name=name, datatype=datatype, shape=[-1, 384]) for name, datatype in outputs],
    )
    return packed(said)


CONFIG = kserve.ModelConfigResponse(config=kserve.ModelConfigResponse.Config(max_batch_size=8)).SerializeToString()


def test_a_card_has_the_model_its_tensors_and_the_largest_batch() -> None:
    card = Triton(NAMES).card(metadata(), CONFIG)

    assert (card.name, card.inputs_max) == ("minilm", 8)
    assert card.identity is not None
    assert (card.identity.model, card.identity.revision, card.identity.dtype) == ("minilm", "1", "FP32")
    known = Triton(NAMES).knowing(card)
    assert [each.name for each in asked(known.compose("/embed", [b'"a"'], None)).inputs] == ["text"]
    assert known.knowing(card) is known


def test_a_server_without_model_configurations_has_our_limits() -> None:
    assert Triton(NAMES).card(metadata(), b"").inputs_max == UNKNOWN_MAX


def test_a_model_of_token_ids_is_known_by_the_names_of_its_inputs() -> None:
    ids = metadata([("input_ids", "INT64", [-1, -1]), ("attention_mask", "INT64", [-1, -1])])
    known = Triton(NAMES).knowing(Triton(NAMES).card(ids, CONFIG))

    assert len(asked(known.compose("/embed", [b"[1,2]"], None)).inputs) == 2


@pytest.mark.parametrize(
    ("names", "inputs", "outputs"),
    [
        (WantedModel("m"), [("a", "BYTES", [-1]), ("b", "BYTES", [-1])], [("out", "FP32")]),
        (WantedModel("m"), [("image", "FP32", [-1, 3])], [("out", "FP32")]),
        (WantedModel("m"), [("pixels", "INT64", [-1, 3])], [("out", "FP32")]),
        (WantedModel("m"), [("text", "BYTES", [-1])], [("label", "BYTES")]),
        (WantedModel("m"), [("text", "BYTES", [-1])], [("a", "FP32"), ("b", "FP32")]),
        (WantedModel("m", inputs=("other",)), [("text", "BYTES", [-1])], [("out", "FP32")]),
        (WantedModel("m", output="other"), [("text", "BYTES", [-1])], [("out", "FP32")]),
    ],
)
def test_a_model_that_makes_no_vectors_as_configured_has_no_card(
    names: WantedModel, inputs: Sequence[tuple[str, str, list[int]]], outputs: Sequence[tuple[str, str]]
) -> None:
    assert Triton(names).card(metadata(inputs, outputs), CONFIG) == NO_CARD


def test_names_choose_among_several_tensors() -> None:
    both = metadata([("a", "BYTES", [-1]), ("b", "BYTES", [-1])], [("x", "FP32"), ("y", "FP16")])
    names = WantedModel("m", inputs=("b",), output="y")
    card = Triton(names).card(both, CONFIG)

    assert card.identity is not None
    assert card.identity.dtype == "FP16"
    call = asked(Triton(names).knowing(card).compose("/embed", [b'"a"'], None))
    assert ([each.name for each in call.inputs], [each.name for each in call.outputs]) == (["b"], ["y"])


@pytest.mark.parametrize("change", [("name", "other"), ("versions", ["2"])])
def test_another_version_is_another_identity(change: tuple[str, Any]) -> None:
    said = Metadata.FromString(metadata())
    other = Metadata(**{each.name: value for each, value in said.ListFields()} | {change[0]: change[1]})

    assert (
        Triton(NAMES).card(other.SerializeToString(), CONFIG).identity
        != Triton(NAMES).card(metadata(), CONFIG).identity
    )


def test_one_that_is_not_ready_is_not_well() -> None:
    """It says so with status OK."""
    assert TEXTS.is_well(200, kserve.ModelReadyResponse(ready=True).SerializeToString())
    assert not TEXTS.is_well(200, kserve.ModelReadyResponse(ready=False).SerializeToString())
    assert not TEXTS.is_well(200, b"\xff")


def test_what_a_model_was_doing_is_not_passed_on() -> None:
    """A traceback may have another client's text in it."""
    said = Answer(500, "text/plain", b"Failed, message: ValueError: Traceback (most recent call last):\n  secret", None)

    body = json.loads(TEXTS.understood(said).body)
    assert body == {"error": "Backend error: Failed, message: ValueError:", "error_type": "Backend"}


@given(st.integers(400, 599), st.binary())
def test_every_error_is_one_of_teis(status: int, said: bytes) -> None:
    body = json.loads(TEXTS.understood(Answer(status, "text/plain", said, None)).body)

    assert set(body) == {"error", "error_type"}


@pytest.mark.parametrize(
    ("status", "condition"), [(200, Condition.WELL), (400, Condition.WELL), (500, Condition.FAILING)]
)
def test_only_its_own_failures_count_against_it(status: int, condition: Condition) -> None:
    assert TEXTS.condition(answer(b"", status)) is condition
