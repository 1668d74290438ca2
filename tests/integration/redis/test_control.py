"""The batchers' reports over the link: written, read, and asked for again where the connection breaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from autobatch_shared.contract.frames import JobHeader, encode
from autobatch_shared.contract.keys import LEARNT_TTL_MS, WAITING_TTL_MS, Keys
from autobatch_shared.contract.status import BatcherStatus, LearntCalls, RememberedCalls, UpstreamStatus
from autobatch_shared.redis.clock import read_clock
from autobatch_shared.redis.control import LOOKED_AT, Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.watching.activities import Activities

KEYS = Keys("test")
LATER_MS = 4_000_000_000_000


@asynccontextmanager
async def open_link(redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(Master.from_url(redis_url, KEYS), "test")
    link.start()
    assert await link.wait_connected(60)
    try:
        yield link
    finally:
        await link.close()


async def test_a_reset_of_the_connection_is_not_bad_health(redis_url: str) -> None:
    async with open_link(redis_url) as link, Redis.from_url(redis_url) as redis:
        control = Control(link, KEYS)
        for round_number in range(3):
            status = BatcherStatus(int(await read_clock(link)), round_number, [])
            await control.report("b1", status)
            await redis.client_kill_filter(_type="normal", skipme=True)
            assert (await control.fleet()).batchers == (status,)
        await control.sign_off("b1")
        assert (await control.fleet()).batchers == ()


@pytest.mark.parametrize(("expired", "fresh"), [(0, 0), (0, 5), (7, 0), (3, 4), (500, 0), (0, 500)])
async def test_the_jobs_are_counted_that_have_expired(redis_url: str, expired: int, fresh: int) -> None:
    await _with_jobs(redis_url, expired, fresh)
    async with open_link(redis_url) as link:
        depths = await Control(link, KEYS).depths()
        seen = await Activities(link, "test").look()
    assert (expired + fresh, expired) == (depths.usual.jobs, depths.usual.expired)
    assert [(expired + fresh, expired)] == [(each.queued, each.expired) for each in seen.models]


async def test_of_many_jobs_those_that_have_expired_are_counted_about(redis_url: str) -> None:
    await _with_jobs(redis_url, 600, 400)
    async with open_link(redis_url) as link:
        assert 600 == pytest.approx((await Control(link, KEYS).depths()).usual.expired, abs=1_000 / LOOKED_AT)


async def _with_jobs(redis_url: str, expired: int, fresh: int) -> None:
    async with Redis.from_url(redis_url) as redis:
        for number in range(expired + fresh):
            header = JobHeader(f"w1.{number}", 1, 1, 2 if number < expired else LATER_MS, "/embed")
            await redis.rpush(KEYS.jobs, encode(header, b'["text"]'))
        await redis.pexpire(KEYS.jobs, WAITING_TTL_MS)
        await redis.set(KEYS.waiting, expired + fresh, px=WAITING_TTL_MS)


async def test_a_batcher_that_reports_hears_the_reports_of_all(redis_url: str) -> None:
    """Also of one that is silent, and none of what it cannot read."""
    async with open_link(redis_url) as link, Redis.from_url(redis_url) as redis:
        control = Control(link, KEYS)
        silent, own = BatcherStatus(1, 0, [], id="b1"), BatcherStatus(int(await read_clock(link)), 0, [], id="b2")
        await redis.hset(KEYS.batchers, "foreign", "[1, 2]")
        assert [silent] == await control.report("b1", silent)
        assert {"b1": silent, "b2": own} == {each.id: each for each in await control.report("b2", own)}


async def test_what_was_learnt_is_there_after_its_batcher_signed_off(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of each upstream by itself, without what cannot be read, which is logged."""
    learnt = LearntCalls(100, "padded", 0.004, 5e-6, 0.0, 0.9, 0.1, 2, 8192)
    urls = [f"http://{name}" for name in "abcd"]
    upstreams = [UpstreamStatus(url, True, 32, 0, counts_for="0f", learnt=learnt) for url in urls]
    async with open_link(redis_url) as link, Redis.from_url(redis_url) as redis:
        control = Control(link, KEYS)
        assert {} == await control.remembered(urls)
        await control.report("b1", BatcherStatus(1, 0, upstreams[:3], id="b1"))
        await control.sign_off("b1")
        await redis.set(KEYS.learnt(urls[1]), b"\xff{}")
        await redis.delete(KEYS.learnt(urls[2]))
        await redis.rpush(KEYS.learnt(urls[2]), "a list")

        assert {urls[0]: RememberedCalls(1, "0f", learnt)} == await control.remembered(urls)
        unread = [record for record in caplog.records if record.message == "learnt_unreadable"]
        assert urls[1:3] == [vars(record)["upstream"] for record in unread]
        assert 0 < await redis.pttl(KEYS.learnt(urls[0])) <= LEARNT_TTL_MS
        await redis.delete(*[KEYS.learnt(url) for url in urls[1:]])
