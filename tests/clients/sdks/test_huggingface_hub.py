"""huggingface_hub: InferenceClient posts to exactly the URL that it is given, with the options of `/embed`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.truth import Truth, assert_rows, texts

hub: Any = sdk("huggingface_hub", "huggingface_hub")
errors: Any = sdk("huggingface_hub", "huggingface_hub.errors")


def client_of(url: str, argument: str = "base_url") -> Any:
    return hub.InferenceClient(**{argument: url}, timeout=60)


@pytest.fixture
def client(url: str) -> Any:
    """Set up as in its documentation for a self-hosted server."""
    return client_of(url)


@pytest.mark.parametrize("path", ["", "/", "/embed", "/invocations"])
@pytest.mark.parametrize("argument", ["base_url", "model"])
def test_every_form_of_address(url: str, truth: Truth, path: str, argument: str) -> None:
    rows = client_of(url + path, argument).feature_extraction("hello world")
    assert rows.dtype == np.float32
    assert_rows(rows, truth.of(["hello world"]))


@pytest.mark.parametrize("count", [1, 2, 33, 100])
def test_a_list_of_texts_in_its_order(client: Any, truth: Truth, count: int) -> None:
    assert_rows(client.feature_extraction(texts(count, "hub")), truth.of(texts(count, "hub")))


@pytest.mark.parametrize(
    "options",
    [
        {"normalize": False},
        {"normalize": True},
        {"truncate": True},
        {"truncate": True, "truncation_direction": "left"},
        {"dimensions": 32},
        {"dimensions": 32, "normalize": False},
    ],
)
def test_options_reach_the_model(client: Any, truth: Truth, options: dict[str, Any]) -> None:
    inputs = ["short", "long " * 600 + "and its end"]
    assert_rows(client.feature_extraction(inputs, **options), truth.of(inputs, **options))


def test_options_differ_in_what_they_do(client: Any) -> None:
    """Otherwise the test above could compare equal vectors."""
    long = "first word " + "and then " * 600 + "the last"
    plain = client.feature_extraction(long, truncate=True)
    assert np.abs(client.feature_extraction(long, normalize=False) - plain).max() > 0.01
    assert np.abs(client.feature_extraction(long, truncate=True, truncation_direction="left") - plain).max() > 0.001


def test_a_text_that_is_too_long_is_refused_when_it_must_not_be_cut(client: Any) -> None:
    assert status_of(client, "long " * 600, truncate=False) == 422


def test_a_prompt_that_the_model_does_not_have_is_refused(client: Any) -> None:
    assert status_of(client, "text", prompt_name="query") == 422


def test_an_empty_text_is_refused(client: Any) -> None:
    assert status_of(client, "") == 400


def status_of(client: Any, text: str, **options: Any) -> int:
    with pytest.raises(errors.HfHubHTTPError) as caught:
        client.feature_extraction(text, **options)
    status: int = caught.value.response.status_code
    return status


def test_similarity_is_refused_by_a_route_that_embeds(client: Any) -> None:
    with pytest.raises(errors.HfHubHTTPError) as caught:
        client.sentence_similarity("a", other_sentences=["b", "c"])
    assert caught.value.response.status_code == 422


def test_similarity_at_its_own_route(url: str, truth: Truth) -> None:
    sentences = ["the weather is fine", "what a sunny day", "taxes are due"]
    similarities = client_of(f"{url}/similarity").sentence_similarity(sentences[0], other_sentences=sentences[1:])
    rows = truth.of(sentences)
    assert similarities == pytest.approx(list(rows[1:] @ rows[0]), abs=1e-4)


def test_each_of_many_threads_gets_its_own_vector(client: Any, truth: Truth) -> None:
    with ThreadPoolExecutor(50) as threads:
        rows = list(threads.map(client.feature_extraction, texts(50, "hub threads")))
    assert_rows(np.concatenate(rows), truth.of(texts(50, "hub threads")))


def test_each_of_many_tasks_gets_its_own_vector(url: str, truth: Truth) -> None:
    async def ask_all() -> Any:
        async with hub.AsyncInferenceClient(base_url=url, timeout=60) as client:
            return await asyncio.gather(*map(client.feature_extraction, texts(50, "hub tasks")))

    assert_rows(np.concatenate(asyncio.run(ask_all())), truth.of(texts(50, "hub tasks")))
