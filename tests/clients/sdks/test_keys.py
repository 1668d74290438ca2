"""A server with keys: SDKs send theirs as usual, and a wrong key raises the exception that their users know."""

from typing import Any

import pytest

from tests.clients.conftest import KEYS
from tests.clients.harness.environments import sdk
from tests.clients.harness.served import Served
from tests.clients.harness.truth import Truth, assert_rows

openai: Any = sdk("openai", "openai")
hub: Any = sdk("huggingface_hub", "huggingface_hub")
errors: Any = sdk("huggingface_hub", "huggingface_hub.errors")


def openai_client(system: Served, key: str) -> Any:
    return openai.OpenAI(base_url=f"{system.url}/v1", api_key=key, timeout=60, max_retries=0)


@pytest.mark.parametrize("key", KEYS)
def test_openai_with_a_key(keyed_system: Served, truth: Truth, key: str) -> None:
    with openai_client(keyed_system, key) as client:
        answer = client.embeddings.create(model="text-embedding-ada-002", input="hello world")
    assert_rows([answer.data[0].embedding], truth.of(["hello world"]))


def test_openai_with_a_wrong_key(keyed_system: Served) -> None:
    with openai_client(keyed_system, "wrong-key") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.embeddings.create(model="text-embedding-ada-002", input="hello world")
    assert isinstance(caught.value.body, dict), "the SDK found no error object in the answer"
    assert caught.value.body["message"]
    assert caught.value.request_id
    assert "wrong-key" not in caught.value.message


def test_openai_lists_models_only_with_a_key(keyed_system: Served) -> None:
    with openai_client(keyed_system, "wrong-key") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_huggingface_hub_with_a_key(keyed_system: Served, truth: Truth) -> None:
    client = hub.InferenceClient(base_url=keyed_system.url, token=KEYS[0], timeout=60)
    assert_rows(client.feature_extraction("hello world"), truth.of(["hello world"]))


@pytest.mark.parametrize("token", ["wrong-key", None])
def test_huggingface_hub_without_a_right_key(keyed_system: Served, token: str | None) -> None:
    client = hub.InferenceClient(base_url=keyed_system.url, token=token, timeout=60)
    with pytest.raises(errors.HfHubHTTPError) as caught:
        client.feature_extraction("hello world")
    assert caught.value.response.status_code == 401
