"""`GET /status`: what each part is doing, and since when it has been so."""

import re
from datetime import UTC, datetime

import pytest
from aiohttp import web

from tests.support.fake_upstream import FakeUpstream
from tests.support.house import House, open_house, ready_house
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

UTC_SECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").fullmatch


def age_s(since: str) -> float:
    assert UTC_SECOND(since)
    return (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()


async def healthy_upstreams(house: House) -> list[bool]:
    batchers = (await house.get("/status")).json["batchers"]
    return [upstream["is_healthy"] for batcher in batchers for upstream in batcher["upstreams"]]


async def test_each_part_is_named_with_its_state_and_its_limits(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        answer = await house.get("/status")

    said = answer.json
    assert (answer.status, said["is_healthy"], said["redis"]["is_connected"]) == (200, True, True)
    (batcher,) = said["batchers"]
    (replica,) = batcher["upstreams"]
    assert replica["url"] == upstream.url
    assert (replica["is_healthy"], replica["model"], replica["kind"]) == (True, "fake", "embedding")
    assert replica["dialect"] == "tei"
    assert (replica["reason"], replica["failed_calls"]) == (None, None)
    assert said["model"]["fingerprint"] == replica["fingerprint"]
    assert (replica["call_inputs_max"], replica["input_tokens_max"]) == (32, None)
    assert batcher["id"].startswith("b")
    assert said["worker"]["id"].startswith("w")
    for part in (said["worker"], said["redis"], batcher, replica):
        assert -1 <= age_s(part["since"]) < 30


@pytest.mark.usefixtures("_quick_probes")
async def test_an_upstream_that_becomes_unhealthy_says_since_when(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        upstream.is_healthy = False
        await upstream.stop()
        await wait_until(lambda: is_reported(house, [False]))
        (batcher,) = (await house.get("/status")).json["batchers"]

        assert batcher["upstreams"][0]["since"] >= batcher["since"]
        assert batcher["upstreams"][0]["reason"]
        assert (await house.get("/status")).json["is_healthy"] is False


@pytest.mark.parametrize(("status", "cause"), [(500, "HTTP 500 in "), (200, "invalid answer in ")])
async def test_calls_that_fail_are_told_with_their_cause_and_none_of_the_upstreams_words(
    status: int, cause: str, redis_url: str, upstream: FakeUpstream
) -> None:
    async def fail(_texts: list[str]) -> web.Response:
        return web.Response(status=status, text='"of a user"')

    async with ready_house(redis_url, upstream.url) as house:
        upstream.behave = fail
        await house.embed("hello")
        await wait_until(lambda: _says(house, cause))
        assert "of a user" not in (await house.get("/status")).body.decode()
        (line,) = (await house.get("/dashboard.json")).json["upstreams"]
        assert "failing" == line["state"]
        assert line["reason"].startswith(cause)


async def _says(house: House, words: str) -> bool:
    (batcher,) = (await house.get("/status")).json["batchers"]
    return str(batcher["upstreams"][0]["failed_calls"]).startswith(words)


async def is_reported(house: House, healthy: list[bool]) -> bool:
    return await healthy_upstreams(house) == healthy


async def test_without_redis_it_answers_and_says_so(own_redis: RedisServer) -> None:
    async with open_house(own_redis.url) as house:
        answer = await house.get("/status")

    assert answer.status == 200
    assert answer.json["redis"]["is_connected"] is False
    assert (answer.json["is_healthy"], answer.json["batchers"]) == (False, [])


async def test_no_credentials_of_an_upstream_are_shown(redis_url: str, upstream: FakeUpstream) -> None:
    async with open_house(redis_url) as house:
        await house.add_batcher(upstream.url.replace("http://", "http://user:hunter2@"))
        await wait_until(lambda: is_reported(house, [True]))
        body = (await house.get("/status")).body

    assert upstream.url.encode() in body
    assert b"hunter2" not in body
