"""Cohere's embeddings: what their bodies ask for, and the bodies of their answers."""

import base64
import json
import struct
from typing import Any

import pytest

from autobatch_proxy.dialects.vendors.cohere import COHERE_ERRORS
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest
from autobatch_shared.contract.options import Options
from tests.unit.planning import body_of, plan_of

TEXTS = ["one", "another one"]
ROWS = b"[[0.5,-1.25],[2,0.1]]"


def asked(path: str = "/v2/embed", **fields: Any) -> Any:
    return plan_of(path, json.dumps({"texts": TEXTS, **fields}).encode())


def test_texts_are_one_job_of_embed() -> None:
    plan = asked(model="embed-v4.0", input_type="search_query")

    assert (plan.route, plan.are_counted) == ("/embed", True)
    assert [(job.kind, json.loads(job.body)) for job in plan.jobs] == [("merge", TEXTS)]


def test_an_answer_of_the_second_version_is_by_type() -> None:
    answer = json.loads(body_of(asked(), ROWS, 7))

    assert answer["embeddings"] == {"float": json.loads(ROWS)}
    assert (answer["texts"], answer["response_type"]) == (TEXTS, "embeddings_by_type")
    assert answer["meta"] == {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}


def test_an_answer_of_the_first_version_is_a_list_unless_types_are_asked_for() -> None:
    listed = json.loads(body_of(asked("/v1/embed"), ROWS))
    by_type = json.loads(body_of(asked("/v1/embed", embedding_types=["float"]), ROWS))

    assert (listed["embeddings"], listed["response_type"]) == (json.loads(ROWS), "embeddings_floats")
    assert (by_type["embeddings"], by_type["response_type"]) == ({"float": json.loads(ROWS)}, "embeddings_by_type")


def test_base64_is_float32() -> None:
    answer = json.loads(body_of(asked(embedding_types=["base64", "float", "base64"]), ROWS))

    assert [*answer["embeddings"]] == ["base64", "float"]
    packed = [base64.b64decode(each) for each in answer["embeddings"]["base64"]]
    assert packed == [struct.pack("<2f", *row) for row in json.loads(ROWS)]


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, Options(truncate=True)),
        ({"truncate": "END"}, Options(truncate=True)),
        ({"truncate": "START"}, Options(truncate=True, truncation_direction="left")),
        ({"truncate": "NONE"}, Options(truncate=False)),
        ({"output_dimension": 256}, Options(truncate=True, dimensions=256)),
    ],
)
def test_options_are_kept(fields: dict[str, Any], options: Options) -> None:
    (job,) = asked(**fields).jobs

    assert job.options == options


def test_an_input_of_one_text_is_that_text() -> None:
    inputs = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    (job,) = asked(texts=None, inputs=inputs).jobs

    assert json.loads(job.body) == TEXTS


@pytest.mark.parametrize("kind", ["int8", "uint8", "binary", "ubinary"])
def test_a_type_of_another_scale_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(InvalidRequest, match=kind):
        asked(embedding_types=["float", kind])


@pytest.mark.parametrize(
    "fields",
    [
        {"texts": None, "images": ["data:image/png;base64,AA=="]},
        {"input_type": "image"},
        {"max_tokens": 12},
        {"texts": None},
        {"texts": "one"},
        {"texts": None, "inputs": [{"content": [{"type": "image_url"}]}]},
        {"texts": None, "inputs": [{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
        {"truncate": "left"},
        {"output_dimension": 0},
    ],
)
def test_what_would_be_another_vector_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        asked(**fields)


def test_no_texts_are_an_empty_input() -> None:
    with pytest.raises(EmptyInput):
        asked(texts=[])


def test_an_error_is_a_message() -> None:
    body = b'{"error":"`texts` cannot be empty","error_type":"Empty"}'

    assert json.loads(COHERE_ERRORS.write(400, body)) == {"message": "`texts` cannot be empty"}
    assert json.loads(COHERE_ERRORS.write(401, b"")) == {"message": "Missing or wrong API key"}
