"""Real servers with OpenAI's API behind the proxy, which finds out by itself that they have it."""

import asyncio

import pytest

from tests.servers.checks import (
    check_crash,
    check_departures,
    check_identity,
    check_late_call,
    check_same,
    house_before,
)
from tests.servers.direct import vectors_of
from tests.servers.model_server import START_S, InferenceServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("server_name", ["infinity", "llama", "ollama"], indirect=True)


async def test_each_client_gets_its_own_vector(server: InferenceServer, redis_url: str) -> None:
    await check_identity(server, redis_url)


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


async def test_a_client_that_sends_nonsense_takes_the_server_from_nobody(
    server: InferenceServer, redis_url: str
) -> None:
    async with house_before(server, redis_url) as house:
        await wait_until(house.is_healthy, START_S)
        nonsense = [await house.post("/v1/embeddings", {"input": []}) for _ in range(10)]
        status, _ = await house.embed("cat")

    assert not {answer.status for answer in nonsense} - {400, 422, 500}
    assert status == 200


async def test_a_call_that_takes_too_long_is_given_up_and_later_ones_are_answered(
    server: InferenceServer, redis_url: str
) -> None:
    await check_late_call(server, redis_url)


async def test_clients_that_leave_take_nothing_from_those_that_stay(server: InferenceServer, redis_url: str) -> None:
    await check_departures(server, redis_url)


async def test_a_server_that_is_killed_and_comes_back(server: InferenceServer, redis_url: str) -> None:
    await check_crash(server, redis_url)
