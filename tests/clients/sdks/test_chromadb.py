"""chromadb: its embedding functions send a whole collection's texts in one call."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.truth import Truth, assert_rows, texts

functions: Any = sdk("chromadb", "chromadb.utils.embedding_functions")


@pytest.fixture(params=["", "/embed", "openai"])
def embed(request: pytest.FixtureRequest, url: str, openai_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its client of text-embeddings-inference with both base URLs that are in use, and its client of OpenAI."""
    if request.param == "openai":
        monkeypatch.setenv("OPENAI_API_KEY", "unused")
        return functions.OpenAIEmbeddingFunction(api_base=openai_url)
    return functions.HuggingFaceEmbeddingServer(url=url + request.param)


@pytest.mark.parametrize("count", [1, 100])
def test_a_list_of_texts_in_its_order(embed: Any, truth: Truth, count: int) -> None:
    assert_rows(embed(texts(count, "chroma")), truth.of(texts(count, "chroma")))


def test_each_of_many_threads_gets_its_own(embed: Any, truth: Truth) -> None:
    inputs = texts(50, "chroma threads")
    with ThreadPoolExecutor(50) as threads:
        rows = [rows[0] for rows in threads.map(lambda text: embed([text]), inputs)]
    assert_rows(rows, truth.of(inputs))
