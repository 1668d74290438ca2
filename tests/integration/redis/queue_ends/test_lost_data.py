"""Data that Redis has lost, clocks that step, and what Redis refuses."""

from collections.abc import Sequence
from typing import Any

import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.frames import VERSION
from autobatch_shared.contract.keys import RENEWED_WITHIN_MS, Keys
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.commands import Command, ReplyError, Script
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.integration.redis.queue_ends.ends import KEYS, LEASE_MS, NO_LIMIT, QueueEnds, job, push, push_bulk


async def test_lost_jobs_are_those_that_are_nowhere(ends: QueueEnds) -> None:
    """They wait in one of the queues, or a batcher has them, or they have a reply; or they are lost."""
    await push(ends, 1, 2, 3)
    await push_bulk(ends, 4)
    batcher = ends.batcher("b1")
    await batcher.claim(2, 4)
    await batcher.reply([("w1.1", b"one")])
    await ends.redis.rpush(KEYS.retry, job(5))
    await ends.redis.rpush(KEYS.of_version(VERSION), job(6))
    await ends.redis.pexpire(KEYS.of_version(VERSION), 60_000)
    jobs = [f"w1.{number}" for number in range(1, 9)]
    assert ["w1.7", "w1.8"] == await ends.worker.missing(jobs)
    await ends.redis.delete(KEYS.claimed("b1"))
    assert ["w1.2", "w1.7", "w1.8"] == await ends.worker.missing(jobs)


async def test_lost_jobs_are_looked_for_behind_the_first_piece_of_a_queue(ends: QueueEnds) -> None:
    await push(ends, *range(600))
    assert ["w1.600"] == await ends.worker.missing(["w1.0", "w1.599", "w1.600", "w1.300"])


async def test_a_push_says_the_time_and_the_epoch(ends: QueueEnds) -> None:
    worker = ends.worker
    await worker.push([(False, [job(1)])], NO_LIMIT)
    assert worker.pushed_ms == pytest.approx(await worker.redis_ms(), abs=5000)
    assert worker.pushed_epoch == await worker.epoch()
    await ends.redis.flushall()
    first = worker.pushed_epoch
    await worker.push([(False, [job(1)])], NO_LIMIT)
    assert worker.pushed_epoch != first
    assert await ends.redis.pttl(KEYS.epoch) > 0
    assert worker.pushed_epoch == (await ends.batcher("b1").renew()).epoch


async def test_leases_of_the_living_go_on_when_the_clock_steps_ahead(ends: QueueEnds) -> None:
    """Else the first batcher to look would take over the work of all others, which they go on with."""
    hour_ms = 3_600_000
    for number, name in enumerate(("dead", "alive")):
        await push(ends, number)
        await ends.batcher(name).claim(1, 0)
    now_ms = await ends.worker.redis_ms()
    await ends.redis.zadd(KEYS.leases, {"dead": now_ms - hour_ms - 1000, "alive": now_ms - hour_ms + 1000})
    assert (1, []) == await ends.batcher("other").reap(hour_ms)
    assert (0, []) == await ends.batcher("other").reap()
    assert (await ends.batcher("alive").renew()).was_held


async def test_no_lease_lasts_as_long_as_the_clock_stepped_back(ends: QueueEnds) -> None:
    await push(ends, 1)
    await ends.batcher("dead").claim(1, 0)
    now_ms = await ends.worker.redis_ms()
    await ends.redis.zadd(KEYS.leases, {"dead": now_ms + 3_600_000})
    await ends.batcher("other", LEASE_MS).reap()
    ends_ms = await ends.redis.zscore(KEYS.leases, "dead")
    assert ends_ms is not None
    assert ends_ms < now_ms + 2 * RENEWED_WITHIN_MS


async def test_the_epoch_stays_until_the_data_is_lost(ends: QueueEnds) -> None:
    first = await ends.worker.epoch()
    assert await ends.worker.epoch() == first
    await ends.redis.flushall()
    assert await ends.worker.epoch() != first


async def test_redis_tells_the_time(ends: QueueEnds) -> None:
    assert await ends.worker.redis_ms() == pytest.approx(await ends.batcher("b1").redis_ms(), abs=5000)


async def test_scripts_survive_a_flush_of_the_script_cache(ends: QueueEnds) -> None:
    """A restarted server knows no script; the first to come sends it, in a transaction too."""
    await push(ends, 1)
    batcher = ends.batcher("b1")
    await batcher.claim(32, 0)
    await ends.redis.script_flush()
    assert await batcher.reply([("w1.1", b"one")]) == 0
    assert await ends.worker.pop_inbox(1) == ["w1.1"]


async def test_what_redis_refuses_is_an_error_and_not_a_reply(ends: QueueEnds) -> None:
    await ends.redis.set(KEYS.jobs, "no list", px=10_000)
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        await ends.worker.push([(False, [job(1)])], NO_LIMIT)
    await ends.redis.set(KEYS.claimed("b1"), "no hash", px=10_000)
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        await ends.batcher("b1").reply([("w1.1", b"one")])


async def test_a_store_that_redis_refuses_is_an_error(ends: QueueEnds) -> None:
    """Out of memory, say: the reply must be tried again and not be announced for good."""
    with pytest.raises(ReplyError):
        await Script("announce", (KEYS.claimed("b1"), KEYS.reply(""), KEYS.inbox("")), (1,)).run_after(
            ends.link, [("SET", "{test}:a", "b", "PX", "no number")], 0
        )


class OddServer:
    """A link to a server that is not Redis."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    async def execute(self, *_args: str | bytes | int) -> Any:
        return self.reply

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        return [self.reply for _ in commands]


@pytest.mark.parametrize("reply", [7, b"OK", [], [7], [b"x", b"y", b"z"], [1, 2, 3, 4], [1, 1, 1, 1, 1, 1, 1, 7]])
async def test_a_reply_of_another_shape_is_as_good_as_none(reply: Any) -> None:
    link = OddServer(reply)
    worker = WorkerQueue(link, link, Keys("n"), "w")
    batcher = BatcherQueue(link, link, Keys("n"), "b", lease_ms=1, reply_ttl_ms=1)
    for asking in (
        worker.push([(False, [b"x"])], 9),
        worker.pop_inbox(1),
        worker.pop_and_read(1, ["w.1"]),
        worker.read_replies(["w.1"]),
        batcher.claim(1, 1),
        batcher.watch_and_claim(1, 1, 1, 1, 1),
    ):
        with pytest.raises(QueueUnavailable):
            await asking
