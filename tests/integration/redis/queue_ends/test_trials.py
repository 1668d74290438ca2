"""The record by which one batcher at a time tries a suspect."""

import pytest

from tests.integration.redis.queue_ends.ends import KEYS, QueueEnds, job
from tests.support.waiting import wait_until


async def test_one_batcher_at_a_time_tries_a_suspect(ends: QueueEnds) -> None:
    first, second = ends.batcher("b1"), ends.batcher("b2")
    assert not await second.is_trying()
    assert await first.begin_trial("one", 60_000)
    assert await second.is_trying()
    assert not await second.begin_trial("two", 60_000)
    await second.end_trial("two", 0)  # it is not its own to end
    assert not await second.begin_trial("two", 60_000)
    await first.end_trial("one", 0)
    assert await second.begin_trial("two", 60_000)


async def test_a_trial_that_began_though_its_reply_was_lost_begins_again(ends: QueueEnds) -> None:
    batcher = ends.batcher("b1")
    assert await batcher.begin_trial("one", 60_000)
    assert await batcher.begin_trial("one", 60_000)


async def test_a_trial_may_linger(ends: QueueEnds) -> None:
    batcher = ends.batcher("b1")
    await batcher.begin_trial("one", 60_000)
    await batcher.end_trial("one", 50)
    await wait_until(lambda: batcher.begin_trial("two", 60_000))


@pytest.mark.parametrize("linger_ms", [0, 30_000])
async def test_a_trial_outlasts_its_time_by_no_step_of_rediss_clock(ends: QueueEnds, linger_ms: int) -> None:
    """A step back by an hour leaves the key an hour more to live."""
    batcher = ends.batcher("b1")
    await batcher.begin_trial("one", 60_000)
    if linger_ms:
        await batcher.end_trial("one", linger_ms)
    await ends.redis.pexpire(KEYS.trial, 3_600_000)
    assert not await batcher.begin_trial("two", 60_000)

    assert 0 < await ends.redis.pttl(KEYS.trial) <= (linger_ms or 60_000)


async def test_what_is_buried_can_be_looked_at(ends: QueueEnds) -> None:
    await ends.batcher("b1").bury(job(1))
    await ends.batcher("b1").bury(job(2))
    assert [job(2), job(1)] == await ends.redis.lrange(KEYS.dead, 0, -1)
    assert await ends.redis.pttl(KEYS.dead) > 0
