"""Real servers with OpenAI's API behind the proxy, which finds out by itself that they have it."""

import asyncio

import pytest

from tests.servers.checks import (
    check_same,
    house_before,
)
from tests.servers.contract import PausedServerContract, ServerContract
from tests.servers.direct import vectors_of
from tests.servers.model_server import START_S, InferenceServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("server_name", ["infinity", "llama", "ollama"], indirect=True)


class TestOpenAi(ServerContract, PausedServerContract):
    """What every server must do."""


async def test_the_first_model_that_it_lists_is_taken(server: InferenceServer, redis_url: str) -> None:
    async with house_before(server, redis_url, None) as house:
        await wait_until(house.is_healthy, START_S)
        info = (await house.get("/info")).json
        status, body = await house.embed(["cat", "dog"])

    assert info["model_id"].removesuffix(":latest") == "minilm"  # which Ollama puts behind a name without a tag
    assert status == 200
    check_same(body, await vectors_of(server, ["cat", "dog"]), server)


async def test_what_it_refuses_and_what_it_has_not_are_errors_and_the_others_go_on(
    server: InferenceServer, redis_url: str
) -> None:
    async with house_before(server, redis_url) as house:
        await wait_until(house.is_healthy, START_S)
        (left, error), (status, _), refused = await asyncio.gather(
            house.embed("cat", normalize=False), house.embed("cat"), house.post("/v1/embeddings", {"input": [{"a": 1}]})
        )
        missing = await house.post("/rerank", {"query": "cat", "texts": ["dog"]})

    assert (left, error["error_type"]) == (422, "Validation")
    assert "`normalize`" in error["error"]
    assert status == 200
    assert refused.status in (400, 422, 500)  # Ollama answers 400 to what is no text, llama-cpp-python 500
    assert missing.status == 424


async def test_a_client_that_sends_nonsense_does_not_take_the_server_out(
    server: InferenceServer, redis_url: str
) -> None:
    async with house_before(server, redis_url) as house:
        await wait_until(house.is_healthy, START_S)
        nonsense = [await house.post("/v1/embeddings", {"input": []}) for _ in range(10)]
        status, _ = await house.embed("cat")

    assert not {answer.status for answer in nonsense} - {400, 422, 500}
    assert status == 200
