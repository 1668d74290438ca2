"""A worker and a batcher of different versions: clear errors at once, never wrong vectors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from redis.asyncio import Redis

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.frames import VERSION, JobHeader, encode
from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.status import BatcherStatus, UpstreamStatus
from autobatch_shared.contract.status import encode as encode_status
from autobatch_shared.periodic import Periodic
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, left_house, open_house, ready_house
from tests.support.version_1 import OLD_JOBS, OldJob, old_report
from tests.support.waiting import wait_until

KEYS = Keys("house")
REFUSAL = {
    "error": "The worker and the batcher are of different versions (2 and 1): the batcher must be updated",
    "error_type": "Unhealthy",
}


@pytest.mark.parametrize("queue", [KEYS.jobs, KEYS.bulk, KEYS.retry, KEYS.suspects])
@pytest.mark.parametrize("old", OLD_JOBS)
async def test_an_old_worker_is_answered_at_once(
    redis_url: str, upstream: FakeUpstream, old: OldJob, queue: str
) -> None:
    """In a frame that it can read, with a fault that it answers as 503; a worker of this version is not affected."""
    async with ready_house(redis_url, upstream.url) as house, Redis.from_url(redis_url) as redis:
        await redis.rpush(queue, old.frame)
        if queue == KEYS.bulk:  # a batcher looks at it when there is other work
            assert await house.embed("wakes it") == (200, [vector("wakes it")])
        taken = await redis.blpop([KEYS.inbox("w1")], timeout=10)
        assert (KEYS.inbox("w1").encode(), old.id.encode()) == taken
        reply = cast("bytes", await redis.get(KEYS.reply(old.id)))
        assert reply.startswith(b'{"v":1,"crc":"')
        assert b'"id":"%b","status":0,"fault":"%b"}' % (old.id.encode(), QueueUnavailable.code.encode()) in reply
        assert reply.endswith(b"(1 and 2): the worker must be updated")
        assert await house.embed("ours") == (200, [vector("ours")])
        assert await redis.exists(KEYS.dead) == 0
    assert all("text" not in call and "one" not in call for call in upstream.calls)


@asynccontextmanager
async def old_batcher(redis_url: str) -> AsyncIterator[None]:
    """Reports as a batcher of version 1 does, until it signs off."""
    async with Redis.from_url(redis_url) as redis:

        async def report() -> float:
            seconds, micros = await redis.time()
            await redis.hset(KEYS.batchers, "old", old_report(seconds * 1000 + micros // 1000))
            return 1.0

        reporting = Periodic("old-batcher", report)
        reporting.start()
        yield
        await reporting.close()
        await redis.hdel(KEYS.batchers, "old")


async def is_refused(house: House) -> bool:
    return await house.embed("text") == (503, REFUSAL)


async def test_a_worker_refuses_at_once_before_an_old_batcher(redis_url: str) -> None:
    async with open_house(redis_url, request_timeout_ms=60_000) as house, old_batcher(redis_url):
        await wait_until(house.is_healthy)
        reply = await house.post("/embed", {"inputs": "text"})
        assert (503, REFUSAL) == (reply.status, reply.json)
        assert "retry-after" in reply.headers
        async with Redis.from_url(redis_url) as redis:
            assert await redis.exists(KEYS.jobs) == 0


async def test_a_request_that_waits_is_refused_when_an_old_batcher_comes(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """It may have claimed the job already, and put it aside.

    The request's own timeout is longer than a test may take.
    """
    async with left_house(redis_url, upstream.url, request_timeout_ms=60_000) as house:
        waiting = asyncio.create_task(house.embed("text"))
        await wait_until(lambda: house.holds(1))
        async with old_batcher(redis_url):
            assert (503, REFUSAL) == await waiting


async def test_one_old_batcher_beside_another_is_enough_to_refuse_until_it_is_gone(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """It would take every second job, and its clients would wait for their timeout."""
    async with ready_house(redis_url, upstream.url) as house:
        async with old_batcher(redis_url):
            await wait_until(lambda: is_refused(house))
        await wait_until(lambda: is_answered(house))


async def test_a_job_of_a_newer_version_waits_for_a_batcher_of_that_version(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """It costs its neighbours nothing, and its text stays in no list for people."""
    frame = encode(JobHeader("w1.1", 1, 1, 4_000_000_000_000, "/embed"), b'["text"]')
    newer = frame.replace(b'"v":%d' % VERSION, b'"v":%d' % (VERSION + 1), 1)
    others = KEYS.of_version(VERSION + 1)
    async with ready_house(redis_url, upstream.url) as house, Redis.from_url(redis_url) as redis:
        await redis.rpush(KEYS.jobs, newer)
        assert await house.embed("ours") == (200, [vector("ours")])
        assert [newer] == await redis.lrange(others, 0, -1)
        assert await redis.exists(KEYS.dead, KEYS.inbox("w1")) == 0
        await redis.delete(others)


async def test_a_job_that_a_newer_batcher_left_to_ours_is_answered(redis_url: str, upstream: FakeUpstream) -> None:
    """As while batchers of both versions run: the worker is updated last."""
    async with left_house(redis_url, upstream.url) as house, Redis.from_url(redis_url) as redis:
        asking = asyncio.create_task(house.embed("ours"))
        ours = KEYS.of_version(VERSION)
        await wait_until(lambda: redis.lmove(KEYS.jobs, ours, "LEFT", "RIGHT"))
        await redis.pexpire(ours, 60_000)
        await house.add_batcher(upstream.url)
        assert await asking == (200, [vector("ours")])


async def test_a_worker_refuses_at_once_where_all_batchers_are_newer(redis_url: str, upstream: FakeUpstream) -> None:
    """They would leave its jobs to batchers that are not there."""
    house_left = left_house(redis_url, upstream.url, request_timeout_ms=60_000)
    async with house_left as house, Redis.from_url(redis_url) as redis:
        waiting = asyncio.create_task(house.embed("text"))
        await wait_until(lambda: house.holds(1))
        at_ms = int(await redis_ms(redis))
        newer = BatcherStatus(at_ms, 0, [UpstreamStatus("http://u", True, 32, 0)], frame_version=VERSION + 1)
        await redis.hset(KEYS.batchers, "newer", encode_status(newer))
        await redis.pexpire(KEYS.batchers, 60_000)
        status, error = await waiting
        assert (503, "Unhealthy") == (status, error["error_type"])
        assert error["error"].endswith("(2 and 3): the worker must be updated")


async def redis_ms(redis: Redis) -> float:
    seconds, micros = await redis.time()
    return float(seconds * 1000 + micros / 1000)


async def is_answered(house: House) -> bool:
    return await house.embed("text") == (200, [vector("text")])
