"""litellm: the prefixes with which it sends OpenAI's embedding requests to a self-hosted server.

`huggingface/` is not among them: it always asks another host for the model's task and price.
"""

import asyncio
from typing import Any

import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.truth import Truth, assert_rows, texts

litellm: Any = sdk("litellm", "litellm")

MODELS = {
    "openai": "text-embedding-ada-002",
    "hosted_vllm": "BAAI/bge-base-en-v1.5",
    "infinity": "BAAI/bge-small-en-v1.5",
}  # provider -> the model of its documentation
PREFIXES = ["openai", "hosted_vllm"]


def request_of(prefix: str, openai_url: str, inputs: Any) -> dict[str, Any]:
    return {
        "model": f"{prefix}/{MODELS[prefix]}",
        "input": inputs,
        "api_base": openai_url,
        "api_key": "unused",
        "timeout": 60,
        "max_retries": 0,
    }


def rows_of(answer: Any) -> list[Any]:
    assert [item["index"] for item in answer.data] == list(range(len(answer.data)))
    return [item["embedding"] for item in answer.data]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_a_list_of_texts_in_its_order(openai_url: str, truth: Truth, prefix: str, count: int) -> None:
    answer = litellm.embedding(**request_of(prefix, openai_url, texts(count, "lite")))
    assert_rows(rows_of(answer), truth.of(texts(count, "lite")))
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("prefix", PREFIXES)
def test_many_tasks_each_get_their_own(openai_url: str, truth: Truth, prefix: str) -> None:
    inputs = texts(50, f"{prefix} tasks")

    async def ask_all() -> list[Any]:
        calls = (litellm.aembedding(**request_of(prefix, openai_url, [text])) for text in inputs)
        return [rows_of(answer)[0] for answer in await asyncio.gather(*calls)]

    assert_rows(asyncio.run(ask_all()), truth.of(inputs))


def test_infinity_asks_without_v1(url: str, truth: Truth) -> None:
    answer = litellm.embedding(**request_of("infinity", url, texts(40, "infinity")))
    assert_rows(rows_of(answer), truth.of(texts(40, "infinity")))


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
def test_both_encodings(openai_url: str, truth: Truth, encoding_format: str) -> None:
    answer = litellm.embedding(**request_of("openai", openai_url, ["hello world"]), encoding_format=encoding_format)
    rows = rows_of(answer)
    if encoding_format == "float":
        assert_rows(rows, truth.of(["hello world"]))
    else:
        assert isinstance(rows[0], str)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_refusal_is_an_exception_with_its_sentence(openai_url: str, prefix: str) -> None:
    with pytest.raises(litellm.BadRequestError, match="cannot be empty"):
        litellm.embedding(**request_of(prefix, openai_url, [""]))
