"""openai: a refusal becomes the exception that its users catch, with all of its fields."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.harness.environments import sdk

openai: Any = sdk("openai", "openai")

HELLO_WORLD_IDS = [15339, 1917]  # of OpenAI's vocabulary; the model's own has other words there


@pytest.fixture(scope="module")
def client(openai_url: str) -> Iterator[Any]:
    """A client without retries."""
    with openai.OpenAI(base_url=openai_url, api_key="unused", timeout=60, max_retries=0) as made:
        yield made


def refused(client: Any, **request: Any) -> Any:
    """Return the exception of a request; check the fields that each must have."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(**{"model": "text-embedding-ada-002", "input": "text"} | request)
    error = caught.value
    assert isinstance(error.body, dict), "the SDK found no error object in the answer"
    assert error.body["message"]
    assert error.body["message"] in error.message
    assert error.code is None
    assert error.param is None or isinstance(error.param, str)
    assert error.request_id
    assert error.request_id == error.response.headers["x-request-id"]
    return error


@pytest.mark.parametrize("empty", ["", [""], ["a", ""], []])
def test_nothing_to_embed_is_a_bad_request(client: Any, empty: Any) -> None:
    error = refused(client, input=empty)
    assert type(error) is openai.BadRequestError
    assert error.type == "Empty"
    assert "cannot be empty" in error.message


@pytest.mark.parametrize("wrong", [7, {"text": "a"}, [["a"]], [1.5], [-1], ["a", 1]])
def test_a_wrong_shape_is_unprocessable(client: Any, wrong: Any) -> None:
    assert type(refused(client, input=wrong)) is openai.UnprocessableEntityError


@pytest.mark.parametrize(
    "option", [{"encoding_format": "hex"}, {"dimensions": 0}, {"dimensions": 100_000}, {"dimensions": "many"}]
)
def test_a_wrong_option_is_unprocessable(client: Any, option: dict[str, Any]) -> None:
    assert type(refused(client, **option)) is openai.UnprocessableEntityError


def test_more_texts_than_openai_takes_are_unprocessable(client: Any) -> None:
    error = refused(client, input=["a"] * 2049)
    assert type(error) is openai.UnprocessableEntityError
    assert error.type == "Validation"
    assert "batch size 2049 > maximum allowed batch size 2048" in error.message


@pytest.mark.parametrize("ids", [HELLO_WORLD_IDS, [HELLO_WORLD_IDS], ["text", HELLO_WORLD_IDS]])
def test_token_ids_are_refused_with_a_hint(client: Any, ids: Any) -> None:
    """Their vocabulary cannot be known. Taken for the model's own, they would give vectors of other words."""
    error = refused(client, input=ids)
    assert type(error) is openai.BadRequestError
    assert "check_embedding_ctx_length=False" in error.message


def test_a_body_beyond_the_limit_says_so(client: Any) -> None:
    assert refused(client, input="a" * 3_000_000).status_code == 413


@pytest.mark.parametrize("header", [{"x-request-timeout-ms": "soon"}, {"x-priority": "urgent"}])
def test_our_own_headers_are_checked(client: Any, header: dict[str, str]) -> None:
    assert type(refused(client, extra_headers=header)) is openai.UnprocessableEntityError


def test_the_request_id_of_the_caller_comes_back(client: Any) -> None:
    error = refused(client, input="", extra_headers={"x-request-id": "mine-7"})
    assert error.request_id == "mine-7"
    answer = client.embeddings.create(
        model="text-embedding-ada-002", input="text", extra_headers={"x-request-id": "mine-8"}
    )
    assert answer._request_id == "mine-8"


def test_a_path_that_is_not_served_is_not_found(client: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="text-embedding-ada-002", prompt="text")
