"""openai: `POST /v1/embeddings` in every form that the SDK can send, and `GET /v1/models`."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.clients.conftest import KEYS
from tests.clients.harness.environments import sdk
from tests.clients.harness.served import Served
from tests.clients.harness.truth import Truth, assert_rows, texts

openai: Any = sdk("openai", "openai")

MODEL = "text-embedding-ada-002"
TIMEOUT_S = 60
HELLO_WORLD_IDS = [101, 7592, 2088, 102]
OTHER_IDS = [101, 2178, 3793, 102]


@pytest.fixture(scope="module")
def client(openai_url: str) -> Iterator[Any]:
    """Set up as in the SDK's documentation: a base URL and any key."""
    with openai.OpenAI(base_url=openai_url, api_key="unused", timeout=TIMEOUT_S, max_retries=0) as made:
        yield made


def rows_of(answer: Any) -> list[Any]:
    """Return the vectors, after checking the fields around them."""
    assert answer.object == "list"
    assert [item.object for item in answer.data] == ["embedding"] * len(answer.data)
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    return [item.embedding for item in answer.data]


def test_a_text_in_the_default_encoding_which_is_base64(client: Any, truth: Truth) -> None:
    answer = client.embeddings.create(model=MODEL, input="hello world")
    assert_rows(rows_of(answer), truth.of(["hello world"]))


def test_floats_are_the_same_numbers(client: Any, truth: Truth) -> None:
    encoded = client.embeddings.create(model=MODEL, input="the same numbers")
    floats = client.embeddings.create(model=MODEL, input="the same numbers", encoding_format="float")
    assert_rows(rows_of(floats), truth.of(["the same numbers"]))
    assert_rows(rows_of(encoded), rows_of(floats))


def test_base64_when_asked_for_is_little_endian_float32(client: Any, truth: Truth) -> None:
    answer = client.embeddings.create(model=MODEL, input=["raw bytes", "more raw bytes"], encoding_format="base64")
    rows = [np.frombuffer(base64.b64decode(row, validate=True), dtype="<f4") for row in rows_of(answer)]
    assert_rows(rows, truth.of(["raw bytes", "more raw bytes"]))


@pytest.mark.parametrize("count", [1, 32, 33, 100])
def test_a_list_of_texts_in_its_order(client: Any, truth: Truth, count: int) -> None:
    """The upstream takes 32 at most, which the SDK's users do not know."""
    inputs = texts(count, "list")
    answer = client.embeddings.create(model=MODEL, input=inputs)
    assert_rows(rows_of(answer), truth.of(inputs))


def test_as_many_texts_as_openai_takes(client: Any, truth: Truth) -> None:
    some = texts(32, "many")
    answer = client.embeddings.create(model=MODEL, input=some * 64)
    assert_rows(rows_of(answer), np.tile(truth.of(some), (64, 1)))


@pytest.mark.parametrize("path", ["/v1", "/v1/", ""])
def test_every_form_of_address(url: str, truth: Truth, path: str) -> None:
    with openai.OpenAI(base_url=url + path, api_key="unused", timeout=TIMEOUT_S, max_retries=0) as client:
        assert_rows(rows_of(client.embeddings.create(model=MODEL, input="hello world")), truth.of(["hello world"]))


@pytest.fixture(scope="module")
def ids_client(keyed_system: Served) -> Iterator[Any]:
    """A client of the system that reads ids of the model's own vocabulary."""
    with openai.OpenAI(base_url=f"{keyed_system.url}/v1", api_key=KEYS[0], timeout=TIMEOUT_S, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("ids", [HELLO_WORLD_IDS, [HELLO_WORLD_IDS], [HELLO_WORLD_IDS, OTHER_IDS]])
def test_token_ids_of_the_models_own_vocabulary(ids_client: Any, truth: Truth, ids: Any) -> None:
    answer = ids_client.embeddings.create(model=MODEL, input=ids)
    assert_rows(rows_of(answer), truth.of(["hello world", "another text"][: len(answer.data)]))


def test_token_ids_and_texts_in_one_list(ids_client: Any, truth: Truth) -> None:
    answer = ids_client.embeddings.create(model=MODEL, input=["a text", OTHER_IDS, "one more"])
    assert_rows(rows_of(answer), truth.of(["a text", "another text", "one more"]))


@pytest.mark.parametrize("encoding", ["float", openai.NOT_GIVEN])
def test_fewer_dimensions_are_cut_and_normalized_again(client: Any, truth: Truth, encoding: Any) -> None:
    answer = client.embeddings.create(model=MODEL, input=["short", "vectors"], dimensions=64, encoding_format=encoding)
    cut = truth.of(["short", "vectors"])[:, :64]
    assert_rows(rows_of(answer), cut / np.linalg.norm(cut, axis=1, keepdims=True))


def test_the_answer_names_the_served_model_and_counts_tokens(client: Any, url: str) -> None:
    with urllib.request.urlopen(f"{url}/info", timeout=10) as info:
        served = json.load(info)
    answer = client.embeddings.create(model=MODEL, input=["hello world", "hello"], user="someone")
    assert answer.model == served.get("served_model_name", served["model_id"])
    assert answer.usage.total_tokens == 4 + 3


def test_models_are_listed_and_found_by_their_names(client: Any) -> None:
    listed = client.models.list().data
    answer = client.embeddings.create(model=MODEL, input="whose")
    assert [model.id for model in listed] == [answer.model]
    assert client.models.retrieve(listed[0].id) == listed[0]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")
