"""Replies: stored, announced while their job is claimed, read once, and deleted."""

import asyncio

import pytest

from tests.integration.redis.queue_ends.ends import (
    KEYS,
    LEASE_MS,
    NO_LIMIT,
    QueueEnds,
    everything,
    job,
    lose,
    push,
)


async def test_a_reply_reaches_the_worker_and_leaves_nothing_behind(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    batcher = ends.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.reply([("w1.1", b"one"), ("w1.2", b"two")]) == 0
    assert await ends.worker.pop_inbox(1) == ["w1.1", "w1.2"]
    worker = ends.worker
    assert await worker.read_replies(["w1.1", "w1.2", "w1.3"]) == [b"one", b"two", None]
    worker.note_received(["w1.1", "w1.2", "w1.3"])
    await worker.delete_received()
    assert await ends.redis.exists(KEYS.claimed("b1"), KEYS.reply("w1.1"), KEYS.reply("w1.2"), KEYS.jobs) == 0
    assert await ends.redis.llen(KEYS.inbox("w1")) == 0


async def test_awaited_replies_are_read_with_their_ids(ends: QueueEnds) -> None:
    """A reply whose id is not taken yet comes with that: its job is not given two."""
    batcher = ends.batcher("b1")
    await push(ends, 1, 2)
    await batcher.claim(32, 0)
    await batcher.reply([("w1.1", b"one"), ("w1.2", b"two")])
    await ends.redis.set(KEYS.reply("w1.3"), b"three", px=60_000)
    popped = await ends.worker.pop_and_read(1, ["w1.3", "w1.1", "w1.4"])
    assert (["w1.1", "w1.2"], {"w1.1": b"one"}) == popped


@pytest.mark.parametrize("ends", ["real", "locked"], indirect=True)
async def test_an_awaited_reply_is_read_when_it_comes(ends: QueueEnds) -> None:
    reading = asyncio.create_task(ends.worker.pop_and_read(10, ["w1.1"]))
    await push(ends, 1)
    await ends.batcher("b1").claim(32, 0)
    await ends.batcher("b1").reply([("w1.1", b"one")])
    assert (["w1.1"], {"w1.1": b"one"}) == await reading
    assert ([], {}) == await ends.worker.pop_and_read(0.01, ["w1.1"])


@pytest.mark.parametrize("step", ["push", "read"])
async def test_what_was_received_is_deleted_with_the_next_message(ends: QueueEnds, step: str) -> None:
    worker = ends.worker
    await ends.redis.set(KEYS.reply("w1.1"), b"received", px=60_000)
    await ends.redis.set(KEYS.reply("w1.2"), b"next", px=60_000)
    worker.note_received(["w1.1"])
    if step == "push":
        await worker.push([(False, [job(3)])], NO_LIMIT)
    else:
        assert [b"next"] == await worker.read_replies(["w1.2"])
    assert [None, b"next"] == await ends.redis.mget(KEYS.reply("w1.1"), KEYS.reply("w1.2"))


async def test_an_empty_inbox_is_waited_for_and_then_empty(ends: QueueEnds) -> None:
    assert await ends.worker.pop_inbox(0.01) == []


async def test_a_dropped_job_is_given_up_without_an_answer(ends: QueueEnds) -> None:
    await push(ends, 1)
    batcher = ends.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.reply([], dropped=["w1.1"]) == 0
    assert await ends.redis.exists(KEYS.claimed("b1"), KEYS.reply("w1.1"), KEYS.inbox("w1")) == 0


async def test_a_reply_after_the_lease_ended_is_not_announced(ends: QueueEnds) -> None:
    """A batcher that was paused comes back when its jobs are another's: one job, one answer."""
    await push(ends, 1)
    await lose(ends, "paused")
    other = ends.batcher("other")
    assert (await other.reap())[0] == 1
    assert everything(await other.claim(32, 4)) == [job(1)]
    assert await ends.batcher("paused", LEASE_MS).reply([("w1.1", b"late")]) == 1
    assert await ends.worker.pop_inbox(0.01) == []
    assert await other.reply([("w1.1", b"in time")]) == 0
    assert await ends.worker.pop_inbox(1) == ["w1.1"]


async def test_a_failure_that_comes_late_does_not_stand_in_the_way(ends: QueueEnds) -> None:
    """The paused one wakes into its own timeout while the other has the vectors."""
    await push(ends, 1)
    await lose(ends, "paused")
    other = ends.batcher("other")
    await other.reap()
    await other.claim(32, 4)
    assert await ends.batcher("paused", LEASE_MS).reply([], [("w1.1", b"timed out")]) == 1
    assert await other.reply([("w1.1", b"vectors")]) == 0
    assert await ends.worker.read_replies(["w1.1"]) == [b"vectors"]


async def test_a_failure_is_announced_as_an_answer_is(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    batcher = ends.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.reply([("w1.1", b"vectors")], [("w1.2", b"failure")]) == 0
    assert sorted(await ends.worker.pop_inbox(1)) == ["w1.1", "w1.2"]
    assert await ends.worker.read_replies(["w1.1", "w1.2"]) == [b"vectors", b"failure"]


async def test_an_id_that_no_worker_has_does_not_keep_others_from_their_answers(ends: QueueEnds) -> None:
    """Another program may have pushed a frame whose id begins with a stop."""
    foreign = b'{"v":1,"crc":"0","id":"..","n":1,"at":1'
    await ends.redis.rpush(KEYS.jobs, foreign)
    await push(ends, 1)
    batcher = ends.batcher("b1")
    assert (await batcher.claim(32, 0)).fresh == [foreign, job(1)]

    assert await batcher.reply([("w1.1", b"vectors")], [("..", b"failure")]) == 0

    assert await ends.worker.pop_inbox(1) == ["w1.1"]
    assert await batcher.claimed() == {}
