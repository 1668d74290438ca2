"""cohere: what its clients make of refusals and of a model that ranks nothing, and the types of vectors.

How it embeds is in `matrix/`.
"""

import base64
from typing import Any

import numpy as np
import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.served import Served
from tests.clients.harness.truth import Truth, assert_rows, texts

cohere: Any = sdk("cohere", "cohere")

QUESTION: dict[str, Any] = {"model": "embed-v4.0", "input_type": "search_query"}


@pytest.fixture
def client(url: str) -> Any:
    return cohere.ClientV2(api_key="unused", base_url=url)


def test_base64_holds_the_same_vectors(client: Any, truth: Truth) -> None:
    inputs = texts(3, "cohere")

    embeddings = client.embed(**QUESTION, texts=inputs, embedding_types=["float", "base64"]).embeddings

    assert_rows(embeddings.float_, truth.of(inputs))
    packed = b"".join(base64.b64decode(each) for each in embeddings.base64)
    assert_rows(np.frombuffer(packed, "<f4").reshape(3, -1), truth.of(inputs))


def test_the_tokens_of_a_request_are_its_own(client: Any) -> None:
    units = client.embed(**QUESTION, texts=["hello world"]).meta.billed_units

    assert units.input_tokens == 4


def test_what_is_not_available_is_an_error_that_names_it(client: Any) -> None:
    with pytest.raises(cohere.UnprocessableEntityError) as refused:
        client.embed(**QUESTION, texts=["a"], embedding_types=["int8"])
    assert "int8" in refused.value.body["message"]


def test_a_wrong_key_is_its_own_exception(keyed_system: Served) -> None:
    client = cohere.ClientV2(api_key="wrong", base_url=keyed_system.url)

    with pytest.raises(cohere.UnauthorizedError):
        client.embed(**QUESTION, texts=["a"])


@pytest.mark.parametrize("kind", ["Client", "ClientV2"])
def test_a_model_that_ranks_nothing_is_an_error_with_its_sentence(url: str, kind: str) -> None:
    client = getattr(cohere, kind)(api_key="unused", base_url=url)

    with pytest.raises(cohere.core.api_error.ApiError) as failed:
        client.rerank(model="rerank-v3.5", query="what", documents=["a", "b"])
    assert failed.value.status_code == 424
    assert "re-ranker" in failed.value.body["message"]
