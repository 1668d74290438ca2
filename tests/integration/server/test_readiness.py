"""What load balancers and supervisors ask: whether a worker takes requests, and whether it and a batcher still move."""

import logging

import aiohttp
import pytest
from pydantic import SecretStr
from redis import Redis

from autobatch_proxy.http.worker_readiness import Readiness
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import House, open_house, ready_house
from tests.support.ports import free_port
from tests.support.raw_http import raw_connection, request
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until


async def is_ready(house: House) -> bool:
    return (await house.get("/ready")).status == 200


async def test_a_worker_is_ready_and_live_without_any_upstream(redis_url: str) -> None:
    """If an outage of the upstream made it unready, a balancer would take out every worker at once."""
    async with open_house(redis_url) as house:
        assert (await house.get("/health")).status == 503
        for path in ("/ready", "/live"):
            answer = await house.get(path)
            assert (answer.status, answer.body) == (200, b"")


async def test_a_worker_is_not_ready_before_it_has_reached_redis(own_redis: RedisServer) -> None:
    async with open_house(own_redis.url) as house:
        answer = await house.get("/ready")
        said = {"error": "this worker has not reached Redis yet", "error_type": "Unhealthy"}
        assert (answer.status, answer.json) == (503, said)
        assert (await house.get("/live")).status == 200
        own_redis.start()
        await wait_until(lambda: is_ready(house))


async def test_an_outage_of_redis_takes_no_worker_out_of_service(own_redis: RedisServer) -> None:
    """It is the same at every worker: a balancer without any would answer in its own words."""
    own_redis.start()
    async with open_house(own_redis.url) as house:
        await wait_until(lambda: is_ready(house))
        own_redis.kill()
        await wait_until(lambda: has_no_redis(house))
        assert await is_ready(house)


async def has_no_redis(house: House) -> bool:
    return not (await house.get("/status")).json["redis"]["is_connected"]


async def test_neither_needs_a_key(redis_url: str) -> None:
    async with open_house(redis_url, api_keys=SecretStr("secret")) as house:
        assert (await house.get("/info")).status == 401
        assert (await house.get("/ready")).status == (await house.get("/live")).status == 200


def test_a_worker_that_stops_says_so_before_it_refuses() -> None:
    readiness = Readiness(lambda: True)
    assert readiness.obstacle == ""
    readiness.stop()
    assert readiness.obstacle == "this worker is stopping"


async def test_a_batcher_is_live_while_its_loop_moves_whatever_the_upstream_does(
    redis_url: str, upstream: FakeUpstream
) -> None:
    port = free_port()
    await upstream.stop()
    async with open_house(redis_url) as house, aiohttp.ClientSession() as http:
        await house.add_batcher(upstream.url, batcher_port=port)

        async def status(path: str) -> int:
            try:
                async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
                    return answer.status
            except aiohttp.ClientError:
                return 0

        async def is_live() -> bool:
            return await status("/live") == 200

        await wait_until(is_live)
        assert await status("/health") == 503


async def test_the_side_port_says_which_upstream_is_waited_for_and_why(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.is_healthy, port = False, free_port()
    async with open_house(redis_url) as house:
        await house.add_batcher(upstream.url, batcher_port=port)
        await wait_until(lambda: waits_for(house, port, {upstream.url: "status 503 at /health"}))


async def test_the_side_port_and_the_status_page_say_why_redis_is_not_reached(
    own_redis: RedisServer, upstream: FakeUpstream
) -> None:
    port = free_port()
    own_redis.start()
    async with ready_house(own_redis.url, upstream.url, batcher_port=port) as house:
        assert (await house.get("/status")).json["redis"]["reason"] is None
        own_redis.kill()
        await wait_until(lambda: waits_for(house, port, {"Redis": "ENOENT"}))
        await wait_until(lambda: has_no_redis(house))
        assert (await house.get("/status")).json["redis"]["reason"] == "ENOENT"


async def waits_for(house: House, port: int, expected: dict[str, str]) -> bool:
    """Whether this is what the batcher with this port waits for."""
    try:
        async with house.http.get(f"http://127.0.0.1:{port}/health") as answer:
            return answer.status == 503 and (await answer.json())["waits_for"] == expected
    except aiohttp.ClientError:
        return False


async def test_the_side_port_and_the_log_say_that_redis_refuses_what_a_batcher_needs(
    own_redis: RedisServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """An upstream whose model cannot be looked up is not what is waited for; and one line of the log says it, not five a second."""
    caplog.set_level(logging.INFO)
    own_redis.start(*(word for name in ("eval", "evalsha") for word in ("--rename-command", name, "")))
    port = free_port()
    async with open_house(own_redis.url) as house:
        await house.add_batcher(upstream.url, batcher_port=port)

        async def waits_for_redis() -> bool:
            try:
                async with house.http.get(f"http://127.0.0.1:{port}/health") as answer:
                    waits_for = (await answer.json())["waits_for"]
            except aiohttp.ClientError:
                return False
            return list(waits_for) == ["Redis"] and "ERR unknown command" in waits_for["Redis"]

        await wait_until(waits_for_redis)
        with Redis.from_url(own_redis.url) as redis:
            await wait_until(lambda: redis.info("errorstats")["errorstat_ERR"]["count"] > 20)
    said = [record.levelname for record in caplog.records if record.getMessage() == "model_not_looked_at"]
    assert said == ["WARNING"]


async def test_the_side_port_names_no_server_and_no_version(redis_url: str, upstream: FakeUpstream) -> None:
    """Neither in an answer, nor to what is no request: two content types are one."""
    port = free_port()
    two_types = request(b"{}", b"Content-Type: text/plain", start=b"GET /health HTTP/1.1")
    async with ready_house(redis_url, upstream.url, batcher_port=port):
        for sent, status in ((request(start=b"GET /live HTTP/1.1"), 200), (two_types, 400), (b"HELLO\r\n\r\n", 400)):
            async with raw_connection(port) as connection:
                await connection.send([sent])
                answer = await connection.answer()
            assert answer is not None
            assert (answer.status, answer.body) == (status, b"")
            assert "server" not in answer.headers
