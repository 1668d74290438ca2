"""Leases: what batchers that died or were silent had claimed goes to the others."""

from tests.integration.redis.queue_ends.ends import (
    KEYS,
    LEASE_MS,
    NO_LIMIT,
    QueueEnds,
    everything,
    is_past,
    job,
    lose,
    push,
)
from tests.support.waiting import wait_until


async def test_jobs_of_a_dead_batcher_come_back_first_and_the_oldest_before_the_others(ends: QueueEnds) -> None:
    """As many as a claim takes: nothing is known against any of them."""
    await ends.worker.push([(False, [job(number, at=number // 4)]) for number in range(12)], NO_LIMIT)
    await lose(ends, "dead")
    await push(ends, 99)
    alive = ends.batcher("alive")
    assert (await alive.reap()) == (12, [])
    back = [job(number, at=number // 4) for number in range(12)]
    first, second = await alive.claim(8, 100), await alive.claim(32, 100)
    assert (back[:8], 5) == (everything(first), first.queued)
    assert [*back[8:], job(99)] == everything(second)
    assert () == (*first.suspects, *second.suspects)


async def test_jobs_that_two_batchers_died_with_come_back_as_suspects(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    reaper = ends.batcher("reaper")
    for name in ("first", "second"):
        await lose(ends, name)
        assert await reaper.reap() == (2, [])
    await push(ends, 3)
    assert [] == await ends.worker.missing(["w1.1", "w1.2", "w1.3"])
    first, second = await reaper.claim(32, 1), await reaper.claim(32, 1)
    assert ([job(1)], [job(3)]) == (first.suspects, first.fresh)
    assert ([job(2)], []) == (second.suspects, second.fresh)


async def test_jobs_that_are_given_back_come_first_and_in_their_order(ends: QueueEnds) -> None:
    await push(ends, 1, 2, 3)
    batcher, other = ends.batcher("b1"), ends.batcher("b2")
    await batcher.claim(2, 0)
    assert 2 == await batcher.give_back(["w1.2", "w1.1", "w1.9"])
    assert {} == await batcher.claimed()
    assert 1 == await ends.redis.llen(KEYS.bell)
    assert [job(1), job(2), job(3)] == everything(await other.claim(32, 0))
    assert 0 == await batcher.give_back(["w1.1"])


async def test_suspects_that_are_left_wake_another(ends: QueueEnds) -> None:
    await ends.redis.rpush(KEYS.suspects, job(1), job(2))
    batcher = ends.batcher("b1")
    await batcher.claim(32, 1)
    assert 1 == await ends.redis.llen(KEYS.bell)
    await batcher.claim(32, 2)
    assert 0 == await ends.redis.exists(KEYS.bell)


async def test_what_is_claimed_can_be_read_back(ends: QueueEnds) -> None:
    """After a claim whose answer was lost."""
    await push(ends, 1, 2)
    batcher = ends.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.claimed() == {"w1.1": job(1), "w1.2": job(2)}
    assert await ends.batcher("b2").claimed() == {}


async def test_a_batcher_that_signed_off_has_killed_nothing(ends: QueueEnds) -> None:
    await push(ends, 1)
    other = ends.batcher("other")
    for name in ("first", "second", "third"):
        leaving = ends.batcher(name)
        await leaving.claim(32, 4)
        await leaving.sign_off()
        assert await other.reap() == (1, [])


async def test_a_live_batcher_is_not_reaped(ends: QueueEnds) -> None:
    await push(ends, 1)
    alive = ends.batcher("alive")
    await alive.claim(32, 0)
    assert await ends.batcher("other").reap() == (0, [])
    assert await alive.reply([("w1.1", b"mine")]) == 0


async def test_a_lease_that_is_renewed_does_not_end(ends: QueueEnds) -> None:
    await push(ends, 1)
    await ends.batcher("b1", LEASE_MS).claim(32, 0)
    first_end = await ends.redis.zscore(KEYS.leases, "b1")

    async def renewed_beyond_the_first_end() -> bool:
        assert (await ends.batcher("b1").renew()).was_held  # for a minute
        return await is_past(ends, first_end)

    await wait_until(renewed_beyond_the_first_end)
    assert await ends.batcher("other").reap() == (0, [])


async def test_renewing_tells_when_the_lease_was_taken(ends: QueueEnds) -> None:
    await push(ends, 1)
    await lose(ends, "paused")
    await ends.batcher("other").reap()
    assert not (await ends.batcher("paused").renew()).was_held
    assert (await ends.batcher("paused").renew()).was_held


async def test_a_job_that_three_batchers_died_with_is_given_up(ends: QueueEnds) -> None:
    await push(ends, 1)
    reaper = ends.batcher("reaper")
    for name in ("first", "second"):
        await lose(ends, name)
        assert await reaper.reap() == (1, [])
    await lose(ends, "third")
    assert await reaper.reap() == (0, [job(1)])
    assert await ends.redis.lrange(KEYS.dead, 0, -1) == [job(1)]
    assert await reaper.reply([("w1.1", b"sorry")]) == 0
    assert await ends.worker.pop_inbox(1) == ["w1.1"]


async def test_signing_off_gives_the_rest_to_the_others_at_once(ends: QueueEnds) -> None:
    await push(ends, 1)
    leaving = ends.batcher("leaving")
    await leaving.claim(32, 0)
    await leaving.sign_off()
    assert (await ends.batcher("other").reap())[0] == 1
