"""langchain-openai, set to send texts. test_matrix.py tests the ids that it sends by default."""

import asyncio
from typing import Any

import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.truth import Truth, assert_rows, texts

langchain: Any = sdk("langchain-openai", "langchain_openai")


def embeddings_of(openai_url: str, **options: Any) -> Any:
    return langchain.OpenAIEmbeddings(base_url=openai_url, api_key="unused", max_retries=0, timeout=60, **options)


@pytest.fixture
def embeddings(openai_url: str) -> Any:
    """The setting that every server with a vocabulary of its own needs."""
    return embeddings_of(openai_url, check_embedding_ctx_length=False)


def test_a_query(embeddings: Any, truth: Truth) -> None:
    assert_rows([embeddings.embed_query("hello world")], truth.of(["hello world"]))


@pytest.mark.parametrize("count", [2, 100])
def test_documents_in_their_order(embeddings: Any, truth: Truth, count: int) -> None:
    """It sends up to 1000 in one call."""
    assert_rows(embeddings.embed_documents(texts(count, "chain")), truth.of(texts(count, "chain")))


def test_many_tasks_each_get_their_own(embeddings: Any, truth: Truth) -> None:
    inputs = texts(50, "chain tasks")

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*map(embeddings.aembed_query, inputs))

    assert_rows(asyncio.run(ask_all()), truth.of(inputs))


def test_dimensions(openai_url: str) -> None:
    embeddings = embeddings_of(openai_url, check_embedding_ctx_length=False, dimensions=64)
    assert [len(row) for row in embeddings.embed_documents(["a", "b"])] == [64, 64]
