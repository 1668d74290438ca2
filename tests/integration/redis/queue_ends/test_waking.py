"""One push wakes one idle batcher."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from tests.integration.redis.queue_ends.ends import (
    KEYS,
    NO_LIMIT,
    QueueEnds,
    everything,
    job,
    linked,
    lose,
    push,
    push_bulk,
)
from tests.support.waiting import wait_until


async def test_one_push_wakes_one_batcher(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    assert await ends.batcher("b1").watch(1)
    assert not await ends.batcher("b2").watch(0.01)
    assert await ends.redis.lrange(KEYS.jobs, 0, -1) == [job(1), job(2)]


async def test_a_claim_that_leaves_jobs_wakes_the_next_batcher(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    await ends.worker.push([(True, [job(3)])], NO_LIMIT)
    for left in (1, 1, 0):
        assert await ends.batcher("b1").watch(1)
        await ends.batcher("b1").claim(1, 4, fill=1)
        assert left == await ends.redis.llen(KEYS.bell)
    assert not await ends.batcher("b2").watch(0.01)


async def test_a_push_behind_others_wakes_nobody_more(ends: QueueEnds) -> None:
    """The one that was woken claims in a moment, and wakes the next one if it leaves any."""
    await push(ends, 1)
    assert await ends.batcher("b1").watch(1)
    await push(ends, 2)
    assert not await ends.batcher("b2").watch(0.01)


async def test_a_push_wakes_a_batcher_though_a_queue_was_deleted_by_hand(ends: QueueEnds) -> None:
    await push_bulk(ends, 1)
    assert await ends.batcher("b1").watch(1)
    await ends.redis.delete(KEYS.bulk)
    await ends.batcher("b1").claim(32, 4, fill=32)
    assert [None, None] == await ends.redis.mget(KEYS.waiting, KEYS.waiting_bulk)
    await push(ends, 2)
    assert await ends.batcher("b1").watch(0.5)


async def test_a_claim_of_everything_leaves_no_reason_to_wake(ends: QueueEnds) -> None:
    await push(ends, 1)
    await ends.batcher("b1").claim(32, 4)
    assert not await ends.batcher("b2").watch(0.01)


async def test_many_pushes_ring_once(ends: QueueEnds) -> None:
    for number in range(5):
        await push(ends, number)
    assert 1 == await ends.redis.llen(KEYS.bell)
    await ends.batcher("b1").ring()
    assert 1 == await ends.redis.llen(KEYS.bell)


async def test_jobs_of_a_dead_batcher_wake_another(ends: QueueEnds) -> None:
    await push(ends, 1)
    await lose(ends, "dead")
    await ends.batcher("reaper").reap()
    assert await ends.batcher("b1").watch(0.5)


async def test_watching_an_empty_queue_ends_with_its_time(ends: QueueEnds) -> None:
    assert not await ends.batcher("b1").watch(0.01)


@pytest.mark.parametrize("ends", ["real"], indirect=True)
async def test_watching_wakes_when_a_job_comes(ends: QueueEnds) -> None:
    """Only on the real server: fakeredis does not wake a blocked client from within a script."""
    watch = asyncio.create_task(ends.batcher("b1").watch(10))
    await push(ends, 1)
    assert await watch


@pytest.mark.parametrize("ends", ["real", "locked"], indirect=True)
async def test_a_claim_behind_a_watch_is_made_with_the_push(ends: QueueEnds) -> None:
    """Also where the server does not know the script any more."""
    for number, is_unknown in ((1, False), (2, True)):
        claiming = asyncio.create_task(ends.batcher("b1").watch_and_claim(10, 32, 4, 32, 32))
        await asyncio.sleep(0)  # so that it is sent
        if is_unknown:
            await ends.redis.script_flush()
        await push(ends, number)
        assert [job(number)] == (await claiming).fresh
        assert 0 == await ends.redis.llen(KEYS.bell)


@pytest.mark.parametrize("ends", ["real", "locked"], indirect=True)
async def test_a_claim_behind_a_watch_is_made_though_no_job_comes(ends: QueueEnds) -> None:
    await ends.redis.rpush(KEYS.retry, job(1))
    assert [job(1)] == (await ends.batcher("b1").watch_and_claim(0.01, 32, 4, 32, 32)).fresh
    assert [] == everything(await ends.batcher("b1").watch_and_claim(0.01, 32, 4, 32, 32))


async def test_of_twenty_idle_batchers_one_job_wakes_one(redis_url: str) -> None:
    async with linked(redis_url, redis_url) as ends, AsyncExitStack() as stack:
        watches = []
        for number in range(20):
            link = RedisLink(Master.from_url(redis_url, KEYS), f"idle-{number}")
            link.start()
            stack.push_async_callback(link.close)
            assert await link.wait_connected(60)
            idle = BatcherQueue(link, link, KEYS, f"b{number}", lease_ms=60_000, reply_ttl_ms=60_000)
            watches.append(asyncio.create_task(idle.watch(0.3)))

        async def all_wait() -> bool:
            clients = await ends.redis.client_list()
            return 20 == sum(client["cmd"] == "blmpop" for client in clients)

        await wait_until(all_wait)
        await push(ends, 1)
        assert 1 == sum(await asyncio.gather(*watches))
        await ends.batcher("b1").claim(1, 4)
