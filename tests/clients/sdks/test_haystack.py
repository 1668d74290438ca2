"""haystack: its embedders of OpenAI, and of text-embeddings-inference, which disables normalization."""

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.truth import Truth, assert_rows, texts

haystack: Any = sdk("haystack-ai", "haystack")
utils: Any = sdk("haystack-ai", "haystack.utils")
openai: Any = sdk("haystack-ai", "haystack.components.embedders")
hub: Any = sdk("huggingface-api-haystack", "haystack_integrations.components.embedders.huggingface_api")


@pytest.fixture
def openai_options(openai_url: str) -> dict[str, Any]:
    return {
        "api_base_url": openai_url,
        "api_key": utils.Secret.from_token("unused"),
        "timeout": 60,
        "max_retries": 0,
    }


@pytest.fixture
def hub_options(url: str) -> dict[str, Any]:
    return {"api_type": "text_embeddings_inference", "api_params": {"url": url}, "token": None}


def documents(count: int, about: str) -> list[Any]:
    return [haystack.Document(content=text) for text in texts(count, about)]


def test_openai_text(openai_options: dict[str, Any], truth: Truth) -> None:
    answer = openai.OpenAITextEmbedder(**openai_options).run("hello world")
    assert_rows([answer["embedding"]], truth.of(["hello world"]))
    assert answer["meta"]["usage"]["total_tokens"] == 4


def test_openai_documents(openai_options: dict[str, Any], truth: Truth) -> None:
    embedder = openai.OpenAIDocumentEmbedder(**openai_options, batch_size=100, progress_bar=False)
    answer = embedder.run(documents(100, "hay"))
    assert_rows([document.embedding for document in answer["documents"]], truth.of(texts(100, "hay")))


@pytest.mark.parametrize("option", [{"normalize": False}, {"normalize": True}])
def test_hub_text(hub_options: dict[str, Any], truth: Truth, option: dict[str, Any]) -> None:
    answer = hub.HuggingFaceAPITextEmbedder(**hub_options, **option).run("hello world")
    assert_rows([answer["embedding"]], truth.of(["hello world"], **option))


def test_hub_text_is_not_normalized_unless_asked(hub_options: dict[str, Any]) -> None:
    """Its default; the proxy must not mix it with requests that leave the choice to the server."""
    answer = hub.HuggingFaceAPITextEmbedder(**hub_options).run("hello world")
    assert abs(np.linalg.norm(answer["embedding"]) - 1) > 0.1


def test_hub_documents(hub_options: dict[str, Any], truth: Truth) -> None:
    embedder = hub.HuggingFaceAPIDocumentEmbedder(**hub_options, batch_size=100, progress_bar=False)
    answer = embedder.run(documents(100, "hub hay"))
    expected = truth.of(texts(100, "hub hay"), normalize=False)
    assert_rows([document.embedding for document in answer["documents"]], expected)


def test_many_tasks_each_get_their_own(hub_options: dict[str, Any], truth: Truth) -> None:
    embedder = hub.HuggingFaceAPITextEmbedder(**hub_options)
    inputs = texts(50, "hay tasks")

    async def ask_all() -> list[Any]:
        answers = await asyncio.gather(*map(embedder.run_async, inputs))
        await embedder.close_async()
        return [answer["embedding"] for answer in answers]

    assert_rows(asyncio.run(ask_all()), truth.of(inputs, normalize=False))
