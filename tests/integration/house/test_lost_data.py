"""Redis loses data, all of it or a part, with its connections or without: every request is answered, by a second push."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from autobatch_proxy.queue.lost_jobs import OLDEST_JOBS
from autobatch_shared.contract.frames import JobHeader, encode
from autobatch_shared.contract.keys import Keys
from tests.support.clerk import open_clerk
from tests.support.fake_upstream import FakeUpstream, Gate, vector
from tests.support.house import left_house, ready_house
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

KEYS = Keys("house")
TEXTS = [f"text {number}" for number in range(40)]
RIGHT = [(200, [vector(text)]) for text in TEXTS]


async def flush(redis: Redis) -> None:
    await redis.flushall()


async def restore_older_data(redis: Redis) -> None:
    """As a replica that is promoted with a gap: the connections end, and the claims and the queue are older."""
    async for name in redis.scan_iter("*:claimed:*"):
        await redis.delete(name)
    await redis.delete(KEYS.jobs, KEYS.bulk, KEYS.waiting, KEYS.waiting_bulk)
    await redis.client_kill_filter(_type="normal", skipme=True)


LOSSES: list[Callable[[Redis], Awaitable[None]]] = [flush, restore_older_data]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("priority", ["normal", "bulk"])
async def test_what_waits_when_data_is_lost_is_asked_again(
    redis_url: str, upstream: FakeUpstream, lose: Callable[[Redis], Awaitable[None]], priority: str
) -> None:
    """Some are in a call, some are held by the batcher, some wait in the queue."""
    gate = Gate()
    upstream.behave = gate
    async with (
        Redis.from_url(redis_url) as redis,
        ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house,
    ):
        asking = [asyncio.create_task(house.embed(text, {"x-priority": priority})) for text in TEXTS]
        await wait_until(lambda: house.holds(len(TEXTS)))
        await wait_until(lambda: upstream.calls)
        await lose(redis)
        upstream.behave = None
        gate.opened.set()
        assert RIGHT == await asyncio.gather(*asking)
        assert await house.embed("after") == (200, [vector("after")])


async def test_a_queue_that_is_deleted_by_hand_is_pushed_again(redis_url: str, upstream: FakeUpstream) -> None:
    """No connection ends, and the mark of the data stays. They are more than the worker looks for at first."""
    texts = [f"text {number}" for number in range(3 * OLDEST_JOBS)]
    async with Redis.from_url(redis_url) as redis, left_house(redis_url, upstream.url) as house:
        asking = [
            asyncio.create_task(house.embed(text, {"x-priority": priority}))
            for text, priority in zip(texts, itertools.cycle(("normal", "bulk")), strict=False)
        ]

        async def all_wait() -> bool:
            return await redis.llen(KEYS.jobs) + await redis.llen(KEYS.bulk) == len(texts)

        await wait_until(all_wait)
        await redis.delete(KEYS.jobs, KEYS.bulk)
        await house.add_batcher(upstream.url)
        assert [(200, [vector(text)]) for text in texts] == await asyncio.gather(*asking)


async def test_the_last_jobs_of_a_list_are_pushed_again_though_its_first_ones_were_answered(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """The worker looks for the oldest jobs that have no answer: those that have one stay until the last one has."""
    texts = [f"text {number}" for number in range(3 * OLDEST_JOBS)]
    async with (
        Redis.from_url(redis_url) as redis,
        left_house(redis_url, upstream.url, max_batch_size=1) as house,
        open_clerk(redis_url) as clerk,
    ):
        asking = asyncio.create_task(house.embed(texts))
        jobs = await clerk.claim(len(texts))
        await clerk.reply_all(jobs[: 2 * OLDEST_JOBS])
        await redis.delete(KEYS.claimed("clerk"))
        await house.add_batcher(upstream.url)
        assert (200, [vector(text) for text in texts]) == await asking


async def test_claims_that_are_deleted_beside_a_working_batcher_are_pushed_again(
    redis_url: str, upstream: FakeUpstream
) -> None:
    gate = Gate()
    upstream.behave = gate
    async with Redis.from_url(redis_url) as redis, ready_house(redis_url, upstream.url) as house:
        asking = [asyncio.create_task(house.embed(text)) for text in TEXTS]
        await wait_until(lambda: sum(map(len, upstream.calls)) == len(TEXTS))
        async for name in redis.scan_iter("*:claimed:*"):
            await redis.delete(name)
        upstream.behave = None
        gate.opened.set()
        assert RIGHT == await asyncio.gather(*asking)


@pytest.mark.parametrize("damaged", [b"", b"\xff" * 100, b'{"v":2,"crc":"00000000","id":"w!"'])
async def test_a_job_that_nobody_can_read_is_pushed_again(
    redis_url: str, upstream: FakeUpstream, damaged: bytes
) -> None:
    async with Redis.from_url(redis_url) as redis, left_house(redis_url, upstream.url) as house:
        asking = asyncio.create_task(house.embed("text"))

        async def waits() -> bool:
            return await redis.llen(KEYS.jobs) == 1

        await wait_until(waits)
        await redis.lset(KEYS.jobs, 0, damaged)  # type: ignore[arg-type]
        await house.add_batcher(upstream.url)
        assert (200, [vector("text")]) == await asking


async def test_a_claim_that_older_data_brings_back_is_worked_off(redis_url: str, upstream: FakeUpstream) -> None:
    """Its batcher answered it, does not hold it any more, and was idle while the connection was gone."""
    async with Redis.from_url(redis_url) as redis, ready_house(redis_url, upstream.url) as house:
        assert await house.embed("first") == (200, [vector("first")])
        (batcher,) = await redis.execute_command("ZRANGE", KEYS.leases, 0, -1)  # type: ignore[no-untyped-call]
        claimed = KEYS.claimed(batcher.decode())
        await redis.hset(claimed, "w1.1", encode(JobHeader("w1.1", 1, 1, 4_000_000_000_000, "/embed"), b'["back"]'))
        await redis.client_kill_filter(_type="normal", skipme=True)

        async def is_worked_off() -> bool:
            return await redis.hlen(claimed) == 0

        await wait_until(is_worked_off)
    assert ["back"] in upstream.calls


@pytest.mark.usefixtures("_patient_workers")
async def test_a_request_that_comes_while_redis_restarts_is_answered(
    own_redis: RedisServer, upstream: FakeUpstream
) -> None:
    own_redis.start()
    async with ready_house(own_redis.url, upstream.url) as house:
        assert await house.embed("first") == (200, [vector("first")])
        own_redis.kill()
        asking = asyncio.create_task(house.embed("meanwhile"))
        await wait_until(lambda: house.holds(1))
        own_redis.start()
        assert await asking == (200, [vector("meanwhile")])


async def test_what_is_lost_twice_is_503(redis_url: str, upstream: FakeUpstream) -> None:
    house_left = left_house(redis_url, upstream.url, request_timeout_ms=60_000)
    async with Redis.from_url(redis_url) as redis, house_left as house:
        asking = asyncio.create_task(house.embed("text"))
        for _ in range(2):

            async def is_pushed() -> bool:
                return await redis.llen(KEYS.jobs) == 1

            await wait_until(is_pushed)
            await redis.flushall()
        lost = {"error": "The queue lost its data", "error_type": "Unhealthy"}
        assert (503, lost) == await asking


async def test_what_is_not_lost_is_not_asked_again(redis_url: str, upstream: FakeUpstream) -> None:
    """Each connection ends, and the data is there."""
    gate = Gate()
    upstream.behave = gate
    async with (
        Redis.from_url(redis_url) as redis,
        ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house,
    ):
        asking = [asyncio.create_task(house.embed(text)) for text in TEXTS]
        await wait_until(lambda: house.holds(len(TEXTS)))
        await wait_until(lambda: upstream.calls)
        await redis.client_kill_filter(_type="normal", skipme=True)
        upstream.behave = None
        gate.opened.set()
        assert RIGHT == await asyncio.gather(*asking)
    assert sorted(TEXTS) == sorted(text for call in upstream.calls for text in call)
