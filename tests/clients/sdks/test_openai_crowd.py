"""openai: many concurrent callers share upstream calls, and each gets its own vectors."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clients.harness.environments import sdk
from tests.clients.harness.truth import Truth, assert_rows, texts

openai: Any = sdk("openai", "openai")

CALLERS = 50
MODEL = "text-embedding-ada-002"


def options(openai_url: str) -> dict[str, Any]:
    return {"base_url": openai_url, "api_key": "unused", "timeout": 60, "max_retries": 0}


def test_each_of_many_threads_gets_its_own_vector(openai_url: str, truth: Truth) -> None:
    inputs = texts(CALLERS, "threads")
    with openai.OpenAI(**options(openai_url)) as client, ThreadPoolExecutor(CALLERS) as threads:
        answers = list(threads.map(lambda text: client.embeddings.create(model=MODEL, input=text), inputs))
    assert_rows([answer.data[0].embedding for answer in answers], truth.of(inputs))


def test_each_of_many_tasks_gets_its_own_vectors_in_its_own_encoding(openai_url: str, truth: Truth) -> None:
    inputs = [texts(1 + number % 3, f"task {number}") for number in range(CALLERS)]

    async def ask(client: Any, number: int) -> list[Any]:
        encoding = openai.NOT_GIVEN if number % 2 else "float"
        answer = await client.embeddings.create(model=MODEL, input=inputs[number], encoding_format=encoding)
        return [item.embedding for item in answer.data]

    async def ask_all() -> list[list[Any]]:
        async with openai.AsyncOpenAI(**options(openai_url)) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(CALLERS)))

    for got, expected in zip(asyncio.run(ask_all()), by_caller(inputs, truth), strict=True):
        assert_rows(got, expected)


def test_a_refused_caller_is_the_only_one_that_is_refused(openai_url: str, truth: Truth) -> None:
    good = texts(CALLERS, "neighbours")

    async def ask_all() -> list[Any]:
        async with openai.AsyncOpenAI(**options(openai_url)) as client:
            calls = (client.embeddings.create(model=MODEL, input=text) for text in [*good, ""])
            return await asyncio.gather(*calls, return_exceptions=True)

    *answers, refusal = asyncio.run(ask_all())
    assert type(refusal) is openai.BadRequestError
    assert_rows([answer.data[0].embedding for answer in answers], truth.of(good))


@pytest.mark.parametrize("count", [100])
def test_many_large_lists_at_once(openai_url: str, truth: Truth, count: int) -> None:
    inputs = [texts(count, f"list {number}") for number in range(4)]
    with openai.OpenAI(**options(openai_url)) as client, ThreadPoolExecutor(len(inputs)) as threads:
        answers = list(threads.map(lambda some: client.embeddings.create(model=MODEL, input=some), inputs))
    for answer, expected in zip(answers, by_caller(inputs, truth), strict=True):
        assert_rows([item.embedding for item in answer.data], expected)


def by_caller(inputs: Sequence[Sequence[str]], truth: Truth) -> list[Any]:
    """Return the expected rows of each caller."""
    rows = iter(truth.of([text for some in inputs for text in some]))
    return [[next(rows) for _ in some] for some in inputs]
