"""langchain-openai: works with texts; with the ids that it makes by default, it is told what to change."""

import asyncio
from typing import Any

import pytest

from tests.clients.environments import sdk
from tests.clients.truth import Truth, assert_rows, texts

langchain: Any = sdk("langchain-openai", "langchain_openai")


def embeddings_of(openai_url: str, **options: Any) -> Any:
    return langchain.OpenAIEmbeddings(
        model="any-name", base_url=openai_url, api_key="unused", max_retries=0, timeout=60, **options
    )


@pytest.fixture
def embeddings(openai_url: str) -> Any:
    """The setting that every server with a vocabulary of its own needs."""
    return embeddings_of(openai_url, check_embedding_ctx_length=False)


class Cl100k:
    """OpenAI's vocabulary in small: a number for every character, most of them unknown to any other model."""

    def __init__(self, first_id: int) -> None:
        self._first_id = first_id

    def encode(self, text: str, **_: Any) -> list[int]:
        return [self._first_id + ord(letter) for letter in text]

    def encode_ordinary(self, text: str) -> list[int]:
        return self.encode(text)


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


def test_ids_of_openais_vocabulary_are_refused_with_what_to_change(
    openai_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unnoticed, they would give vectors of other words. Its vocabulary comes over the network, so a stub makes ids."""
    base = sdk("langchain-openai", "langchain_openai.embeddings.base")
    monkeypatch.setattr(base.tiktoken, "encoding_for_model", lambda _name: Cl100k(first_id=90_000))
    openai = sdk("openai", "openai")

    with pytest.raises(openai.UnprocessableEntityError, match="check_embedding_ctx_length=False"):
        embeddings_of(openai_url).embed_documents(["hello world"])
    with pytest.raises(openai.UnprocessableEntityError, match="check_embedding_ctx_length=False"):
        embeddings_of(openai_url).embed_query("hello world")
