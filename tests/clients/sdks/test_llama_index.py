"""llama-index: its client of text-embeddings-inference, of OpenAI, and of the inference API, one call for each text."""

import asyncio
from typing import Any

import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.truth import Truth, assert_rows, texts

tei: Any = sdk("llama-index-embeddings-text-embeddings-inference", "llama_index.embeddings.text_embeddings_inference")
openai: Any = sdk("llama-index-embeddings-openai", "llama_index.embeddings.openai")
api: Any = sdk("llama-index-embeddings-huggingface-api", "llama_index.embeddings.huggingface_api")

TEI_MODEL = "BAAI/bge-large-en-v1.5"  # of its documentation; it has no default and does not send it


@pytest.fixture(params=["tei", "openai"])
def model(request: pytest.FixtureRequest, url: str, openai_url: str) -> Any:
    """Each class, set up as in its documentation for a self-hosted server."""
    if request.param == "tei":
        return tei.TextEmbeddingsInference(model_name=TEI_MODEL, base_url=url, timeout=60, auth_token="unused")
    return openai.OpenAIEmbedding(api_base=openai_url, api_key="unused", max_retries=0)


def test_a_text_and_a_query(model: Any, truth: Truth) -> None:
    """The client of text-embeddings-inference puts the model's query instruction before a question."""
    rows = [model.get_text_embedding("hello world"), model.get_query_embedding("where is it?")]
    instruction = (
        "Represent this question for searching relevant passages: "
        if isinstance(model, tei.TextEmbeddingsInference)
        else ""
    )
    assert_rows(rows, truth.of(["hello world", f"{instruction}where is it?"]))


def test_a_hundred_texts_in_their_order(model: Any, truth: Truth) -> None:
    """In calls of 10 and of 100."""
    assert_rows(model.get_text_embedding_batch(texts(100, "llama")), truth.of(texts(100, "llama")))


def test_many_tasks_each_get_their_own(model: Any, truth: Truth) -> None:
    inputs = texts(50, "llama tasks")

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*map(model.aget_text_embedding, inputs))

    assert_rows(asyncio.run(ask_all()), truth.of(inputs))


def test_openai_embedding_passes_dimensions_on(openai_url: str) -> None:
    model = openai.OpenAIEmbedding(api_base=openai_url, api_key="unused", dimensions=64)
    assert len(model.get_text_embedding("hello world")) == 64


def test_tei_embedding_cuts_what_is_too_long(url: str, truth: Truth) -> None:
    """It requests that by default."""
    model = tei.TextEmbeddingsInference(model_name=TEI_MODEL, base_url=url, timeout=60)
    assert_rows([model.get_text_embedding("long " * 600)], truth.of(["long " * 600], truncate=True))


def test_inference_api_embedding_asks_for_every_text_alone(url: str, truth: Truth) -> None:
    """Only one event loop: its synchronous methods leave their connection to a loop that they close after each call."""
    model = api.HuggingFaceInferenceAPIEmbedding(model_name=url, token="unused", timeout=60)
    inputs = texts(100, "llama api")
    rows = asyncio.run(model.aget_text_embedding_batch(inputs))
    assert_rows(rows, truth.of(inputs))
