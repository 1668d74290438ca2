"""The queue operations on a real server, on fakeredis, and on a server with the users that we deploy."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis

from autobatch_shared.contract.capacity import MinuteBudget, SaidLeft
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.frames import VERSION, JobHeader, encode, id_in_queue
from autobatch_shared.contract.keys import RENEWED_WITHIN_MS, Keys
from autobatch_shared.contract.models import ServedModel
from autobatch_shared.redis.batcher_queue import BatcherQueue, Claim
from autobatch_shared.redis.commands import Command, Commands, ReplyError, Script
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.model_record import ModelRecord
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.conftest import used_cleanly
from tests.integration.fake_commands import FakeCommands
from tests.support.servers.redis_server import RedisServer
from tests.support.version_1 import OLD_JOBS, OldJob
from tests.support.waiting import wait_until

KEYS = Keys("test")
LEASE_MS = 200  # short, so that its end can be waited for
NO_LIMIT = 1_000_000
LATER_MS = 4_000_000_000_000


@dataclass
class QueueEnds:
    """A worker's end and any number of batchers' ends of one queue."""

    link: Commands
    blocking: Commands
    redis: "Redis | FakeAsyncRedis"

    @property
    def worker(self) -> WorkerQueue:
        return WorkerQueue(self.link, self.blocking, KEYS, "w1")

    def batcher(self, name: str, lease_ms: int = 60_000) -> BatcherQueue:
        return BatcherQueue(self.link, self.blocking, KEYS, name, lease_ms=lease_ms, reply_ttl_ms=60_000)


@pytest.fixture(params=["real", "fake", "locked"])
async def bench(request: pytest.FixtureRequest, shared_redis: RedisServer) -> AsyncIterator[QueueEnds]:
    if request.param == "fake":
        fake = FakeAsyncRedis(version=(7, 0))
        yield QueueEnds(FakeCommands(fake), FakeCommands(fake), fake)
        await fake.aclose()
        return
    if request.param == "locked":
        locked = request.getfixturevalue("locked_redis")
        async with linked(locked.url, locked.admin_url) as bench:
            yield bench
        assert locked.refused() == []
        return
    async with used_cleanly(shared_redis) as url, linked(url, url) as bench:
        yield bench


@asynccontextmanager
async def linked(url: str, admin_url: str) -> AsyncIterator[QueueEnds]:
    async with AsyncExitStack() as stack:
        links = [RedisLink(Master.from_url(url, KEYS), name) for name in ("commands", "blocking")]
        for link in links:
            link.start()
            stack.push_async_callback(link.close)
            assert await link.wait_connected(60)
        yield QueueEnds(links[0], links[1], await stack.enter_async_context(Redis.from_url(admin_url)))


def job(number: int, n: int = 1, at: int = 1) -> bytes:
    return encode(JobHeader(f"w1.{number}", n, at, LATER_MS, "/embed"), b'["text"]')


def everything(claim: Claim) -> list[bytes]:
    return [*claim.suspects, *claim.fresh, *claim.bulk]


async def push(bench: QueueEnds, *numbers: int) -> None:
    assert await bench.worker.push([(False, [job(number)]) for number in numbers], NO_LIMIT) == set()


async def lose(bench: QueueEnds, name: str, jobs: int = 100) -> None:
    """Let a batcher claim jobs and then fall silent until its lease has ended."""
    await bench.batcher(name, LEASE_MS).claim(jobs, jobs)
    ends = await bench.redis.zscore(KEYS.leases, name)
    await wait_until(lambda: is_past(bench, ends))


async def is_past(bench: QueueEnds, redis_ms: float | None) -> bool:
    seconds, micros = await bench.redis.time()
    return redis_ms is not None and seconds * 1000 + micros / 1000 > redis_ms + 1


async def test_a_thousand_jobs_come_out_in_push_order(bench: QueueEnds) -> None:
    await push(bench, *range(1000))
    batcher = bench.batcher("b1")
    frames: list[bytes] = []
    while len(frames) < 1000:
        frames += (await batcher.claim(32, 4)).fresh
    assert [job(number) for number in range(1000)] == frames


async def test_a_claim_stops_at_the_inputs_that_were_wanted(bench: QueueEnds) -> None:
    await bench.worker.push([(False, [job(number, n=10)]) for number in range(5)], NO_LIMIT)
    claim = await bench.batcher("b1").claim(25, 0)
    assert [job(number, n=10) for number in range(3)] == claim.fresh
    assert claim.queued == 2


async def test_an_empty_queue_gives_an_empty_claim(bench: QueueEnds) -> None:
    claim = await bench.batcher("b1").claim(32, 4)
    assert ([], 0, 0) == (everything(claim), claim.queued, claim.dropped)
    assert claim.redis_ms > 1_700_000_000_000


async def test_a_full_queue_refuses_without_pushing(bench: QueueEnds) -> None:
    """Each request wholly or not at all; a smaller one behind a refused one may still fit."""
    requests = [[job(1, n=3), job(2, n=3)], [job(3, n=5)], [job(4, n=4)]]
    assert {1} == await bench.worker.push([(False, frames) for frames in requests], 10)
    claim = await bench.batcher("b1").claim(100, 0)
    assert [job(1, n=3), job(2, n=3), job(4, n=4)] == claim.fresh


async def test_room_comes_back_when_jobs_are_claimed(bench: QueueEnds) -> None:
    await bench.worker.push([(False, [job(1, n=8)])], 10)
    assert {0} == await bench.worker.push([(False, [job(2, n=8)])], 10)
    await bench.batcher("b1").claim(8, 0)
    assert set() == await bench.worker.push([(False, [job(3, n=8)])], 10)


async def test_the_count_of_waiting_inputs_heals_when_the_queue_is_empty(bench: QueueEnds) -> None:
    """A list that was deleted by hand must not leave a queue that refuses for ever."""
    await bench.worker.push([(False, [job(1, n=10)])], 10)
    await bench.redis.delete(KEYS.jobs)
    await bench.batcher("b1").claim(1, 0)
    await push(bench, 2)
    await bench.batcher("b1").claim(1, 0)
    assert set() == await bench.worker.push([(False, [job(3, n=10)])], 10)


async def push_bulk(bench: QueueEnds, *numbers: int, n: int = 1) -> None:
    assert await bench.worker.push([(True, [job(number, n=n) for number in numbers])], NO_LIMIT) == set()


async def test_bulk_fills_what_room_is_left(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    await push_bulk(bench, *range(10, 20))
    claim = await bench.batcher("b1").claim(32, 0, fill=5)
    assert [job(1), job(2)] == claim.fresh
    assert [job(10), job(11), job(12)] == claim.bulk
    assert (0, 7) == (claim.queued, claim.queued_bulk)


async def test_bulk_gets_its_share_beside_a_full_queue(bench: QueueEnds) -> None:
    await push(bench, *range(1, 9))
    await push_bulk(bench, *range(10, 20))
    claim = await bench.batcher("b1").claim(4, 0, bulk=2, fill=4)
    assert [job(number) for number in (1, 2, 3, 4)] == claim.fresh
    assert [job(10), job(11)] == claim.bulk


async def test_bulk_wakes_an_idle_batcher(bench: QueueEnds) -> None:
    await push_bulk(bench, 1, 2)
    assert await bench.batcher("b1").watch(0.5)
    assert [job(1), job(2)] == (await bench.batcher("b1").claim(1, 0, fill=5)).bulk


async def test_bulk_has_room_of_its_own(bench: QueueEnds) -> None:
    """A large request must not make single ones be refused, nor the other way round; and what is taken gives room."""
    large = [job(number, n=2) for number in range(5)]
    assert set() == await bench.worker.push([(False, [job(9)]), (True, large)], 10)
    assert {0} == await bench.worker.push([(True, [job(20)]), (False, [job(21, n=9)])], 10)
    await bench.batcher("b1").claim(100, 0, fill=100)
    assert set() == await bench.worker.push([(True, large), (False, [job(30, n=10)])], 10)


async def test_no_count_is_left_of_bulk_jobs_that_were_claimed(bench: QueueEnds) -> None:
    for number in range(20):
        await push_bulk(bench, number, n=10)
        await bench.batcher("b1").claim(10, 0, fill=10)
    assert [None, None] == await bench.redis.mget(KEYS.waiting, KEYS.waiting_bulk)


async def test_a_push_of_more_frames_than_lua_can_unpack(bench: QueueEnds) -> None:
    await push(bench, *range(9000))
    assert await bench.redis.llen(KEYS.jobs) == 9000


async def test_a_reply_reaches_the_worker_and_leaves_nothing_behind(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    batcher = bench.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.reply([("w1.1", b"one"), ("w1.2", b"two")]) == 0
    assert await bench.worker.pop_inbox(1) == ["w1.1", "w1.2"]
    worker = bench.worker
    assert await worker.read_replies(["w1.1", "w1.2", "w1.3"]) == [b"one", b"two", None]
    worker.note_received(["w1.1", "w1.2", "w1.3"])
    await worker.delete_received()
    assert await bench.redis.exists(KEYS.claimed("b1"), KEYS.reply("w1.1"), KEYS.reply("w1.2"), KEYS.jobs) == 0
    assert await bench.redis.llen(KEYS.inbox("w1")) == 0


async def test_awaited_replies_are_read_with_their_ids(bench: QueueEnds) -> None:
    """A reply whose id is not taken yet comes with that: its job is not given two."""
    batcher = bench.batcher("b1")
    await push(bench, 1, 2)
    await batcher.claim(32, 0)
    await batcher.reply([("w1.1", b"one"), ("w1.2", b"two")])
    await bench.redis.set(KEYS.reply("w1.3"), b"three", px=60_000)
    popped = await bench.worker.pop_and_read(1, ["w1.3", "w1.1", "w1.4"])
    assert (["w1.1", "w1.2"], {"w1.1": b"one"}) == popped


@pytest.mark.parametrize("bench", ["real", "locked"], indirect=True)
async def test_an_awaited_reply_is_read_when_it_comes(bench: QueueEnds) -> None:
    reading = asyncio.create_task(bench.worker.pop_and_read(10, ["w1.1"]))
    await push(bench, 1)
    await bench.batcher("b1").claim(32, 0)
    await bench.batcher("b1").reply([("w1.1", b"one")])
    assert (["w1.1"], {"w1.1": b"one"}) == await reading
    assert ([], {}) == await bench.worker.pop_and_read(0.01, ["w1.1"])


@pytest.mark.parametrize("step", ["push", "read"])
async def test_what_was_received_is_deleted_with_the_next_message(bench: QueueEnds, step: str) -> None:
    worker = bench.worker
    await bench.redis.set(KEYS.reply("w1.1"), b"received", px=60_000)
    await bench.redis.set(KEYS.reply("w1.2"), b"next", px=60_000)
    worker.note_received(["w1.1"])
    if step == "push":
        await worker.push([(False, [job(3)])], NO_LIMIT)
    else:
        assert [b"next"] == await worker.read_replies(["w1.2"])
    assert [None, b"next"] == await bench.redis.mget(KEYS.reply("w1.1"), KEYS.reply("w1.2"))


async def test_an_empty_inbox_is_waited_for_and_then_empty(bench: QueueEnds) -> None:
    assert await bench.worker.pop_inbox(0.01) == []


async def test_a_dropped_job_is_given_up_without_an_answer(bench: QueueEnds) -> None:
    await push(bench, 1)
    batcher = bench.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.reply([], dropped=["w1.1"]) == 0
    assert await bench.redis.exists(KEYS.claimed("b1"), KEYS.reply("w1.1"), KEYS.inbox("w1")) == 0


async def test_a_reply_after_the_lease_ended_is_not_announced(bench: QueueEnds) -> None:
    """A batcher that was paused comes back when its jobs are another's: one job, one answer."""
    await push(bench, 1)
    await lose(bench, "paused")
    other = bench.batcher("other")
    assert (await other.reap())[0] == 1
    assert everything(await other.claim(32, 4)) == [job(1)]
    assert await bench.batcher("paused", LEASE_MS).reply([("w1.1", b"late")]) == 1
    assert await bench.worker.pop_inbox(0.01) == []
    assert await other.reply([("w1.1", b"in time")]) == 0
    assert await bench.worker.pop_inbox(1) == ["w1.1"]


async def test_jobs_of_a_dead_batcher_come_back_first_and_the_oldest_before_the_others(bench: QueueEnds) -> None:
    """As many as a claim takes: nothing is known against any of them."""
    await bench.worker.push([(False, [job(number, at=number // 4)]) for number in range(12)], NO_LIMIT)
    await lose(bench, "dead")
    await push(bench, 99)
    alive = bench.batcher("alive")
    assert (await alive.reap()) == (12, [])
    back = [job(number, at=number // 4) for number in range(12)]
    first, second = await alive.claim(8, 100), await alive.claim(32, 100)
    assert (back[:8], 5) == (everything(first), first.queued)
    assert [*back[8:], job(99)] == everything(second)
    assert () == (*first.suspects, *second.suspects)


async def test_jobs_that_two_batchers_died_with_come_back_as_suspects(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    reaper = bench.batcher("reaper")
    for name in ("first", "second"):
        await lose(bench, name)
        assert await reaper.reap() == (2, [])
    await push(bench, 3)
    assert [] == await bench.worker.missing(["w1.1", "w1.2", "w1.3"])
    first, second = await reaper.claim(32, 1), await reaper.claim(32, 1)
    assert ([job(1)], [job(3)]) == (first.suspects, first.fresh)
    assert ([job(2)], []) == (second.suspects, second.fresh)


async def test_jobs_that_are_given_back_come_first_and_in_their_order(bench: QueueEnds) -> None:
    await push(bench, 1, 2, 3)
    batcher, other = bench.batcher("b1"), bench.batcher("b2")
    await batcher.claim(2, 0)
    assert 2 == await batcher.give_back(["w1.2", "w1.1", "w1.9"])
    assert {} == await batcher.claimed()
    assert 1 == await bench.redis.llen(KEYS.bell)
    assert [job(1), job(2), job(3)] == everything(await other.claim(32, 0))
    assert 0 == await batcher.give_back(["w1.1"])


async def test_suspects_that_are_left_wake_another(bench: QueueEnds) -> None:
    await bench.redis.rpush(KEYS.suspects, job(1), job(2))
    batcher = bench.batcher("b1")
    await batcher.claim(32, 1)
    assert 1 == await bench.redis.llen(KEYS.bell)
    await batcher.claim(32, 2)
    assert 0 == await bench.redis.exists(KEYS.bell)


async def test_a_failure_that_comes_late_does_not_stand_in_the_way(bench: QueueEnds) -> None:
    """The paused one wakes into its own timeout while the other has the vectors."""
    await push(bench, 1)
    await lose(bench, "paused")
    other = bench.batcher("other")
    await other.reap()
    await other.claim(32, 4)
    assert await bench.batcher("paused", LEASE_MS).reply([], [("w1.1", b"timed out")]) == 1
    assert await other.reply([("w1.1", b"vectors")]) == 0
    assert await bench.worker.read_replies(["w1.1"]) == [b"vectors"]


async def test_a_failure_is_announced_as_an_answer_is(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    batcher = bench.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.reply([("w1.1", b"vectors")], [("w1.2", b"failure")]) == 0
    assert sorted(await bench.worker.pop_inbox(1)) == ["w1.1", "w1.2"]
    assert await bench.worker.read_replies(["w1.1", "w1.2"]) == [b"vectors", b"failure"]


async def test_an_id_that_no_worker_has_does_not_keep_others_from_their_answers(bench: QueueEnds) -> None:
    """Another program may have pushed a frame whose id begins with a stop."""
    foreign = b'{"v":1,"crc":"0","id":"..","n":1,"at":1'
    await bench.redis.rpush(KEYS.jobs, foreign)
    await push(bench, 1)
    batcher = bench.batcher("b1")
    assert (await batcher.claim(32, 0)).fresh == [foreign, job(1)]

    assert await batcher.reply([("w1.1", b"vectors")], [("..", b"failure")]) == 0

    assert await bench.worker.pop_inbox(1) == ["w1.1"]
    assert await batcher.claimed() == {}


async def test_what_is_claimed_can_be_read_back(bench: QueueEnds) -> None:
    """After a claim whose answer was lost."""
    await push(bench, 1, 2)
    batcher = bench.batcher("b1")
    await batcher.claim(32, 0)
    assert await batcher.claimed() == {"w1.1": job(1), "w1.2": job(2)}
    assert await bench.batcher("b2").claimed() == {}


async def test_a_batcher_that_signed_off_has_killed_nothing(bench: QueueEnds) -> None:
    await push(bench, 1)
    other = bench.batcher("other")
    for name in ("first", "second", "third"):
        leaving = bench.batcher(name)
        await leaving.claim(32, 4)
        await leaving.sign_off()
        assert await other.reap() == (1, [])


async def test_a_big_body_weighs_more_than_its_inputs(bench: QueueEnds) -> None:
    """Or ten thousand inputs of 2 MB would fill Redis long before the queue is full."""
    big = encode(JobHeader("w1.1", 1, 1, LATER_MS, "/embed"), b"x" * 80_000)
    assert {1} == await bench.worker.push([(False, [big]), (False, [job(2)])], 10)
    await bench.batcher("b1").claim(100, 0)
    assert set() == await bench.worker.push([(False, [job(number) for number in range(10)])], 10)


async def test_a_live_batcher_is_not_reaped(bench: QueueEnds) -> None:
    await push(bench, 1)
    alive = bench.batcher("alive")
    await alive.claim(32, 0)
    assert await bench.batcher("other").reap() == (0, [])
    assert await alive.reply([("w1.1", b"mine")]) == 0


async def test_a_lease_that_is_renewed_does_not_end(bench: QueueEnds) -> None:
    await push(bench, 1)
    await bench.batcher("b1", LEASE_MS).claim(32, 0)
    first_end = await bench.redis.zscore(KEYS.leases, "b1")

    async def renewed_beyond_the_first_end() -> bool:
        assert (await bench.batcher("b1").renew()).was_held  # for a minute
        return await is_past(bench, first_end)

    await wait_until(renewed_beyond_the_first_end)
    assert await bench.batcher("other").reap() == (0, [])


async def test_renewing_tells_when_the_lease_was_taken(bench: QueueEnds) -> None:
    await push(bench, 1)
    await lose(bench, "paused")
    await bench.batcher("other").reap()
    assert not (await bench.batcher("paused").renew()).was_held
    assert (await bench.batcher("paused").renew()).was_held


async def test_a_job_that_three_batchers_died_with_is_given_up(bench: QueueEnds) -> None:
    await push(bench, 1)
    reaper = bench.batcher("reaper")
    for name in ("first", "second"):
        await lose(bench, name)
        assert await reaper.reap() == (1, [])
    await lose(bench, "third")
    assert await reaper.reap() == (0, [job(1)])
    assert await bench.redis.lrange(KEYS.dead, 0, -1) == [job(1)]
    assert await reaper.reply([("w1.1", b"sorry")]) == 0
    assert await bench.worker.pop_inbox(1) == ["w1.1"]


async def test_signing_off_gives_the_rest_to_the_others_at_once(bench: QueueEnds) -> None:
    await push(bench, 1)
    leaving = bench.batcher("leaving")
    await leaving.claim(32, 0)
    await leaving.sign_off()
    assert (await bench.batcher("other").reap())[0] == 1


async def test_jobs_whose_client_has_gone_are_not_claimed(bench: QueueEnds) -> None:
    await push(bench, 1, 2, 3)
    await bench.worker.forget(["w1.2", "w1.9"], 50)
    claim = await bench.batcher("b1").claim(32, 0)
    assert ([job(1), job(3)], 1) == (claim.fresh, claim.dropped)
    await wait_until(lambda: is_forgotten(bench, "w1.9"))
    assert await bench.redis.exists(f"{KEYS.gone}:w1.2") == 0


async def is_forgotten(bench: QueueEnds, job_id: str) -> bool:
    """The mark of a job that was answered meanwhile goes with the job's deadline."""
    return await bench.redis.exists(f"{KEYS.gone}:{job_id}") == 0


async def test_what_is_no_job_is_counted_and_not_kept(bench: QueueEnds) -> None:
    """Its bytes may be a user's text."""
    await bench.redis.rpush(KEYS.jobs, b"rubbish")
    await push(bench, 1)
    claim = await bench.batcher("b1").claim(32, 4)
    assert ([job(1)], 1) == (claim.fresh, claim.malformed)
    assert await bench.redis.exists(KEYS.dead) == 0


def of_version(frame: bytes, version: int) -> bytes:
    return frame.replace(b'"v":%d' % VERSION, b'"v":%d' % version, 1)


async def test_a_job_of_a_newer_version_is_left_to_the_batchers_of_that_version(bench: QueueEnds) -> None:
    newer = of_version(job(1), VERSION + 1)
    await bench.redis.rpush(KEYS.jobs, newer)
    await push(bench, 2)
    claim = await bench.batcher("b1").claim(32, 4)
    assert ([job(2)], 1) == (claim.fresh, claim.foreign)
    assert [newer] == await bench.redis.lrange(KEYS.of_version(VERSION + 1), 0, -1)
    assert await bench.redis.pttl(KEYS.of_version(VERSION + 1)) > 0
    assert await bench.batcher("b1").claimed() == {"w1.2": job(2)}


async def test_jobs_that_a_newer_batcher_left_to_us_are_claimed(bench: QueueEnds) -> None:
    await bench.redis.rpush(KEYS.of_version(VERSION), *map(job, (1, 2, 3)))
    await bench.redis.pexpire(KEYS.of_version(VERSION), 60_000)
    await push(bench, 4)
    batcher = bench.batcher("b1")
    first = await batcher.claim(2, 4)
    assert ([job(1), job(2)], 2) == (first.fresh, first.queued)
    assert [job(3), job(4)] == (await batcher.claim(32, 4)).fresh
    assert await batcher.claimed() == {f"w1.{number}": job(number) for number in (1, 2, 3, 4)}


@pytest.mark.parametrize("old", OLD_JOBS)
async def test_a_job_of_another_version_is_claimed_to_be_answered(bench: QueueEnds, old: OldJob) -> None:
    await bench.redis.rpush(KEYS.jobs, old.frame)
    assert (await bench.batcher("b1").claim(32, 0)).fresh == [old.frame]
    assert await bench.batcher("b1").claimed() == {old.id: old.frame}


@pytest.mark.parametrize(
    "change",
    [
        (b'"v":2', b'"v":0'),
        (b'"v":2', b'"v":1'),
        (b'"v":2', b'"v":1000'),
        (b'"v":2', b'"v":-2'),
        (b'"v":2', b'"v":'),
        (b'"v":2', b'"v":2.0'),
        (b'"crc":"', b'"crc":"xyz'),
        (b'"id":"w1.1"', b'"id":"w1.1:dead"'),
        (b'"id":"w1.1"', b'"id":""'),
        (b'"id":"w1.1"', b'"id":"w1"'),
    ],
)
async def test_what_is_claimed_has_the_id_that_python_reads(bench: QueueEnds, change: tuple[bytes, bytes]) -> None:
    """`claim.lua` and `id_in_queue` read the same frames: else a claim would be held that cannot be given up."""
    frame = job(1).replace(*change, 1)
    await bench.redis.rpush(KEYS.jobs, frame)
    claimed = await bench.batcher("b1").claim(32, 0)
    assert ([frame] if id_in_queue(frame) else []) == claimed.fresh
    assert {id_in_queue(frame)} - {""} == set(await bench.batcher("b1").claimed())


async def test_one_push_wakes_one_batcher(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    assert await bench.batcher("b1").watch(1)
    assert not await bench.batcher("b2").watch(0.01)
    assert await bench.redis.lrange(KEYS.jobs, 0, -1) == [job(1), job(2)]


async def test_a_claim_that_leaves_jobs_wakes_the_next_batcher(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    await bench.worker.push([(True, [job(3)])], NO_LIMIT)
    for left in (1, 1, 0):
        assert await bench.batcher("b1").watch(1)
        await bench.batcher("b1").claim(1, 4, fill=1)
        assert left == await bench.redis.llen(KEYS.bell)
    assert not await bench.batcher("b2").watch(0.01)


async def test_a_push_behind_others_wakes_nobody_more(bench: QueueEnds) -> None:
    """The one that was woken claims in a moment, and wakes the next one if it leaves any."""
    await push(bench, 1)
    assert await bench.batcher("b1").watch(1)
    await push(bench, 2)
    assert not await bench.batcher("b2").watch(0.01)


async def test_a_push_wakes_a_batcher_though_a_queue_was_deleted_by_hand(bench: QueueEnds) -> None:
    await push_bulk(bench, 1)
    assert await bench.batcher("b1").watch(1)
    await bench.redis.delete(KEYS.bulk)
    await bench.batcher("b1").claim(32, 4, fill=32)
    assert [None, None] == await bench.redis.mget(KEYS.waiting, KEYS.waiting_bulk)
    await push(bench, 2)
    assert await bench.batcher("b1").watch(0.5)


async def test_a_claim_of_everything_leaves_no_reason_to_wake(bench: QueueEnds) -> None:
    await push(bench, 1)
    await bench.batcher("b1").claim(32, 4)
    assert not await bench.batcher("b2").watch(0.01)


async def test_many_pushes_ring_once(bench: QueueEnds) -> None:
    for number in range(5):
        await push(bench, number)
    assert 1 == await bench.redis.llen(KEYS.bell)
    await bench.batcher("b1").ring()
    assert 1 == await bench.redis.llen(KEYS.bell)


async def test_jobs_of_a_dead_batcher_wake_another(bench: QueueEnds) -> None:
    await push(bench, 1)
    await lose(bench, "dead")
    await bench.batcher("reaper").reap()
    assert await bench.batcher("b1").watch(0.5)


async def test_watching_an_empty_queue_ends_with_its_time(bench: QueueEnds) -> None:
    assert not await bench.batcher("b1").watch(0.01)


@pytest.mark.parametrize("bench", ["real"], indirect=True)
async def test_watching_wakes_when_a_job_comes(bench: QueueEnds) -> None:
    """Only on the real server: fakeredis does not wake a blocked client from within a script."""
    watch = asyncio.create_task(bench.batcher("b1").watch(10))
    await push(bench, 1)
    assert await watch


@pytest.mark.parametrize("bench", ["real", "locked"], indirect=True)
async def test_a_claim_behind_a_watch_is_made_with_the_push(bench: QueueEnds) -> None:
    """Also where the server does not know the script any more."""
    for number, is_unknown in ((1, False), (2, True)):
        claiming = asyncio.create_task(bench.batcher("b1").watch_and_claim(10, 32, 4, 32, 32))
        await asyncio.sleep(0)  # so that it is sent
        if is_unknown:
            await bench.redis.script_flush()
        await push(bench, number)
        assert [job(number)] == (await claiming).fresh
        assert 0 == await bench.redis.llen(KEYS.bell)


@pytest.mark.parametrize("bench", ["real", "locked"], indirect=True)
async def test_a_claim_behind_a_watch_is_made_though_no_job_comes(bench: QueueEnds) -> None:
    await bench.redis.rpush(KEYS.retry, job(1))
    assert [job(1)] == (await bench.batcher("b1").watch_and_claim(0.01, 32, 4, 32, 32)).fresh
    assert [] == everything(await bench.batcher("b1").watch_and_claim(0.01, 32, 4, 32, 32))


async def test_of_twenty_idle_batchers_one_job_wakes_one(redis_url: str) -> None:
    async with linked(redis_url, redis_url) as bench, AsyncExitStack() as stack:
        watches = []
        for number in range(20):
            link = RedisLink(Master.from_url(redis_url, KEYS), f"idle-{number}")
            link.start()
            stack.push_async_callback(link.close)
            assert await link.wait_connected(60)
            idle = BatcherQueue(link, link, KEYS, f"b{number}", lease_ms=60_000, reply_ttl_ms=60_000)
            watches.append(asyncio.create_task(idle.watch(0.3)))

        async def all_wait() -> bool:
            clients = await bench.redis.client_list()
            return 20 == sum(client["cmd"] == "blmpop" for client in clients)

        await wait_until(all_wait)
        await push(bench, 1)
        assert 1 == sum(await asyncio.gather(*watches))
        await bench.batcher("b1").claim(1, 4)


async def test_lost_jobs_are_those_that_are_nowhere(bench: QueueEnds) -> None:
    """They wait in one of the queues, or a batcher has them, or they have a reply; or they are lost."""
    await push(bench, 1, 2, 3)
    await push_bulk(bench, 4)
    batcher = bench.batcher("b1")
    await batcher.claim(2, 4)
    await batcher.reply([("w1.1", b"one")])
    await bench.redis.rpush(KEYS.retry, job(5))
    await bench.redis.rpush(KEYS.of_version(VERSION), job(6))
    await bench.redis.pexpire(KEYS.of_version(VERSION), 60_000)
    jobs = [f"w1.{number}" for number in range(1, 9)]
    assert ["w1.7", "w1.8"] == await bench.worker.missing(jobs)
    await bench.redis.delete(KEYS.claimed("b1"))
    assert ["w1.2", "w1.7", "w1.8"] == await bench.worker.missing(jobs)


async def test_lost_jobs_are_looked_for_behind_the_first_piece_of_a_queue(bench: QueueEnds) -> None:
    await push(bench, *range(600))
    assert ["w1.600"] == await bench.worker.missing(["w1.0", "w1.599", "w1.600", "w1.300"])


async def test_a_push_says_the_time_and_the_epoch(bench: QueueEnds) -> None:
    worker = bench.worker
    await worker.push([(False, [job(1)])], NO_LIMIT)
    assert worker.pushed_ms == pytest.approx(await worker.redis_ms(), abs=5000)
    assert worker.pushed_epoch == await worker.epoch()
    await bench.redis.flushall()
    first = worker.pushed_epoch
    await worker.push([(False, [job(1)])], NO_LIMIT)
    assert worker.pushed_epoch != first
    assert await bench.redis.pttl(KEYS.epoch) > 0
    assert worker.pushed_epoch == (await bench.batcher("b1").renew()).epoch


async def test_leases_of_the_living_go_on_when_the_clock_steps_ahead(bench: QueueEnds) -> None:
    """Else the first batcher to look would take over the work of all others, which they go on with."""
    hour_ms = 3_600_000
    for number, name in enumerate(("dead", "alive")):
        await push(bench, number)
        await bench.batcher(name).claim(1, 0)
    now_ms = await bench.worker.redis_ms()
    await bench.redis.zadd(KEYS.leases, {"dead": now_ms - hour_ms - 1000, "alive": now_ms - hour_ms + 1000})
    assert (1, []) == await bench.batcher("other").reap(hour_ms)
    assert (0, []) == await bench.batcher("other").reap()
    assert (await bench.batcher("alive").renew()).was_held


async def test_no_lease_lasts_as_long_as_the_clock_stepped_back(bench: QueueEnds) -> None:
    await push(bench, 1)
    await bench.batcher("dead").claim(1, 0)
    now_ms = await bench.worker.redis_ms()
    await bench.redis.zadd(KEYS.leases, {"dead": now_ms + 3_600_000})
    await bench.batcher("other", LEASE_MS).reap()
    ends_ms = await bench.redis.zscore(KEYS.leases, "dead")
    assert ends_ms is not None
    assert ends_ms < now_ms + 2 * RENEWED_WITHIN_MS


async def test_the_epoch_stays_until_the_data_is_lost(bench: QueueEnds) -> None:
    first = await bench.worker.epoch()
    assert await bench.worker.epoch() == first
    await bench.redis.flushall()
    assert await bench.worker.epoch() != first


async def test_redis_tells_the_time(bench: QueueEnds) -> None:
    assert await bench.worker.redis_ms() == pytest.approx(await bench.batcher("b1").redis_ms(), abs=5000)


async def test_scripts_survive_a_flush_of_the_script_cache(bench: QueueEnds) -> None:
    """A restarted server knows no script; the first to come sends it, in a transaction too."""
    await push(bench, 1)
    batcher = bench.batcher("b1")
    await batcher.claim(32, 0)
    await bench.redis.script_flush()
    assert await batcher.reply([("w1.1", b"one")]) == 0
    assert await bench.worker.pop_inbox(1) == ["w1.1"]


async def test_what_redis_refuses_is_an_error_and_not_a_reply(bench: QueueEnds) -> None:
    await bench.redis.set(KEYS.jobs, "no list", px=10_000)
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        await bench.worker.push([(False, [job(1)])], NO_LIMIT)
    await bench.redis.set(KEYS.claimed("b1"), "no hash", px=10_000)
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        await bench.batcher("b1").reply([("w1.1", b"one")])


async def test_a_store_that_redis_refuses_is_an_error(bench: QueueEnds) -> None:
    """Out of memory, say: the reply must be tried again and not be announced for good."""
    with pytest.raises(ReplyError):
        await Script("announce", (KEYS.claimed("b1"), KEYS.reply(""), KEYS.inbox("")), (1,)).run_after(
            bench.link, [("SET", "{test}:a", "b", "PX", "no number")], 0
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


async def test_one_batcher_at_a_time_tries_a_suspect(bench: QueueEnds) -> None:
    first, second = bench.batcher("b1"), bench.batcher("b2")
    assert not await second.is_trying()
    assert await first.begin_trial("one", 60_000)
    assert await second.is_trying()
    assert not await second.begin_trial("two", 60_000)
    await second.end_trial("two", 0)  # it is not its own to end
    assert not await second.begin_trial("two", 60_000)
    await first.end_trial("one", 0)
    assert await second.begin_trial("two", 60_000)


async def test_a_trial_that_began_though_its_reply_was_lost_begins_again(bench: QueueEnds) -> None:
    batcher = bench.batcher("b1")
    assert await batcher.begin_trial("one", 60_000)
    assert await batcher.begin_trial("one", 60_000)


async def test_a_trial_may_linger(bench: QueueEnds) -> None:
    batcher = bench.batcher("b1")
    await batcher.begin_trial("one", 60_000)
    await batcher.end_trial("one", 50)
    await wait_until(lambda: batcher.begin_trial("two", 60_000))


@pytest.mark.parametrize("linger_ms", [0, 30_000])
async def test_a_trial_outlasts_its_time_by_no_step_of_rediss_clock(bench: QueueEnds, linger_ms: int) -> None:
    """A step back by an hour leaves the key an hour more to live."""
    batcher = bench.batcher("b1")
    await batcher.begin_trial("one", 60_000)
    if linger_ms:
        await batcher.end_trial("one", linger_ms)
    await bench.redis.pexpire(KEYS.trial, 3_600_000)
    assert not await batcher.begin_trial("two", 60_000)

    assert 0 < await bench.redis.pttl(KEYS.trial) <= (linger_ms or 60_000)


async def test_what_is_buried_can_be_looked_at(bench: QueueEnds) -> None:
    await bench.batcher("b1").bury(job(1))
    await bench.batcher("b1").bury(job(2))
    assert [job(2), job(1)] == await bench.redis.lrange(KEYS.dead, 0, -1)
    assert await bench.redis.pttl(KEYS.dead) > 0


OLD_MODEL, NEW_MODEL, OTHER_MODEL = (ServedModel(name * 8, name, "{}", since=7) for name in "abc")


async def test_the_first_model_stands_until_it_is_replaced(bench: QueueEnds) -> None:
    record = ModelRecord(bench.link, KEYS)
    assert await record.agree(None) is None
    assert await record.agree(OLD_MODEL) == OLD_MODEL
    assert await record.agree(NEW_MODEL) == OLD_MODEL

    assert await record.agree(NEW_MODEL, instead_of=OLD_MODEL) == NEW_MODEL
    assert await record.agree(OTHER_MODEL, instead_of=OLD_MODEL) == NEW_MODEL  # another batcher was faster
    assert await record.agree(None) == NEW_MODEL
    assert await bench.redis.pttl(KEYS.model) > 0


async def test_a_model_stays_for_a_while_after_an_upstream_last_counted_for_it(bench: QueueEnds) -> None:
    record = ModelRecord(bench.link, KEYS)
    await record.agree(OLD_MODEL)
    assert await bench.redis.pttl(KEYS.model_counted) > 0

    async def move(after_ms: int) -> ServedModel | None:
        return await record.agree(NEW_MODEL, instead_of=OLD_MODEL, after_ms=after_ms)

    async def counted_ms() -> int:
        return int(await bench.redis.get(KEYS.model_counted) or 0)

    now_ms = await counted_ms()
    assert await move(30_000) == OLD_MODEL
    await bench.redis.set(KEYS.model_counted, now_ms - 40_000)
    await record.agree(None, counted=OTHER_MODEL)  # says nothing of the one that is recorded
    assert await counted_ms() == now_ms - 40_000
    await record.agree(None, counted=OLD_MODEL)
    assert await move(30_000) == OLD_MODEL
    await bench.redis.delete(KEYS.model_counted)
    assert await move(30_000) == OLD_MODEL  # lost: the time begins anew
    await bench.redis.set(KEYS.model_counted, now_ms + 3_600_000)
    assert await move(30_000) == OLD_MODEL
    assert await counted_ms() < now_ms + 3_600_000  # of before the clock stepped back: so it does
    await bench.redis.set(KEYS.model_counted, now_ms - 40_000)
    assert await move(30_000) == NEW_MODEL
    assert await counted_ms() >= now_ms


async def test_a_model_is_set_again_where_redis_has_lost_it(bench: QueueEnds) -> None:
    record = ModelRecord(bench.link, KEYS)
    await record.agree(OLD_MODEL)
    await bench.redis.delete(KEYS.model)

    assert await record.agree(OLD_MODEL) == OLD_MODEL


async def test_what_is_no_record_is_an_error(bench: QueueEnds) -> None:
    await bench.redis.set(KEYS.model, b"[]", px=60_000)

    with pytest.raises(QueueUnavailable):
        await ModelRecord(bench.link, KEYS).agree(OLD_MODEL)


HOUR_MS = 3_600_000  # a minute in which next to nothing grows


CHECK_MS = HOUR_MS / 20  # the longest wait


def budget(calls: int = 0, tokens: int = 0, *, holds_jobs: bool = False, **used: Any) -> MinuteBudget:
    return MinuteBudget("0a", calls, tokens, HOUR_MS, holds_jobs=holds_jobs, **used)


def said(most: int, least: int = -1, reset_ms: int = -1) -> MinuteBudget:
    """Return a budget of 1000 calls of which the upstream has said so much just now."""
    of = replace(budget(calls=1000), calls_said=SaidLeft(most, least, reset_ms), asked_ms=0, said_ms=0)
    return replace(of, calls_needed=0)


async def test_a_claim_needs_a_call_of_the_budget_of_all_batchers(bench: QueueEnds) -> None:
    await push(bench, 1, 2, 3)
    first = await bench.batcher("b1").claim(1, 0, budget=budget(calls=2))
    second = await bench.batcher("b2").claim(1, 0, budget=budget(calls=2))
    third = await bench.batcher("b1").claim(1, 0, budget=budget(calls=2))

    assert [job(1)] == first.fresh
    assert [job(2)] == second.fresh
    assert ([], 1) == (third.fresh, third.queued)
    assert [1, 0, 0] == [claim.calls_left for claim in (first, second, third)]
    assert (0, 0) == (first.wait_ms, second.wait_ms)
    assert third.wait_ms == CHECK_MS


async def test_a_call_that_was_granted_needs_no_other(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    await bench.batcher("b1").claim(1, 0, budget=budget(calls=1))
    assert [job(2)] == (await bench.batcher("b1").claim(1, 0, budget=budget(calls=1, calls_needed=0))).fresh


async def test_what_was_used_beyond_the_budget_is_made_good(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    claim = await bench.batcher("b1").claim(1, 0, budget=budget(calls=4, calls_used=4))

    assert ([], 0) == (claim.fresh, claim.calls_left)
    assert claim.wait_ms == CHECK_MS


async def test_a_claim_takes_as_many_jobs_as_there_are_tokens_for(bench: QueueEnds) -> None:
    """A body of eight bytes is taken for two tokens."""
    await push(bench, *range(5))
    claim = await bench.batcher("b1").claim(10, 0, budget=budget(tokens=7))
    none = await bench.batcher("b1").claim(10, 0, budget=budget(tokens=7))

    assert [job(number) for number in range(3)] == claim.fresh
    assert (1, -1, 0) == (claim.tokens_left, claim.calls_left, claim.wait_ms)
    assert ([], 2) == (none.fresh, none.queued)
    assert none.wait_ms == CHECK_MS


async def test_special_tokens_count_and_some_are_left_over(bench: QueueEnds) -> None:
    """A body of eight bytes and one input is taken for five tokens."""
    await push(bench, *range(5))
    of = replace(budget(tokens=17), tokens_an_input=3.0, tokens_kept=4)
    claim = await bench.batcher("b1").claim(10, 0, budget=of)

    assert [job(number) for number in range(2)] == claim.fresh
    assert claim.tokens_left == 17 - 2 * of.charged(1, 8)


async def test_a_job_of_more_tokens_than_a_minute_has_needs_all_of_them(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    assert [job(1)] == (await bench.batcher("b1").claim(10, 0, budget=budget(tokens=1))).fresh


async def test_a_call_is_granted_for_jobs_that_are_held_and_none_is_claimed(bench: QueueEnds) -> None:
    await push(bench, 1)
    claims = [await bench.batcher("b1").claim(0, 0, budget=budget(calls=1, holds_jobs=True)) for _ in range(2)]

    assert [(0, False), (0, True)] == [(claim.calls_left, claim.wait_ms > 0) for claim in claims]
    assert [1, 1] == [claim.queued for claim in claims]


async def test_what_the_upstream_says_is_left_counts_where_it_is_less(bench: QueueEnds) -> None:
    """It counts until the upstream says that more is left: then the others have stopped."""
    claims = [await bench.batcher("b1").claim(0, 0, budget=of) for of in (said(100), said(900), said(500, 400))]

    assert [100, 100, 400] == [claim.calls_left for claim in claims]


async def test_what_was_used_after_a_call_was_sent_is_not_left_though_its_answer_says_so(bench: QueueEnds) -> None:
    await bench.batcher("b1").claim(0, 0, budget=said(500))
    of = replace(said(900, 900), calls_used=200, asked_ms=60_000, said_ms=0)
    claim = await bench.batcher("b1").claim(0, 0, budget=of)

    assert claim.calls_left == 900 - 200 + 1, "all but itself"


async def test_what_the_upstream_has_forgotten_at_once_is_forgotten(bench: QueueEnds) -> None:
    """Its minute has ended; a little is what two counts differ by."""
    await bench.batcher("b1").claim(0, 0, budget=budget(calls=1000, calls_used=900))
    little = await bench.batcher("b1").claim(0, 0, budget=replace(said(200, 200), asked_ms=-HOUR_MS))
    much = await bench.batcher("b1").claim(0, 0, budget=replace(said(800, 800), asked_ms=-HOUR_MS))

    assert [100, 800] == [claim.calls_left for claim in (little, much)]


async def test_one_call_finds_out_whether_the_upstream_has_begun_to_count_anew(bench: QueueEnds) -> None:
    spent = MinuteBudget("0a", 1000, 0, 600_000, holds_jobs=True)
    told = replace(spent, calls_used=1000, calls_said=SaidLeft(0, 0, 10), asked_ms=0, said_ms=0)
    assert (await bench.batcher("b1").claim(0, 0, budget=told)).wait_ms > 0

    async def is_granted() -> bool:
        return (await bench.batcher("b1").claim(0, 0, budget=spent)).wait_ms == 0

    await wait_until(is_granted)
    assert not await is_granted()


async def test_refusals_that_nothing_explains_make_calls_come_more_evenly(bench: QueueEnds) -> None:
    """Of 60 calls 21 were made at once, and one of them was refused: the upstream takes no more than 20 in so short a time."""
    await bench.batcher("b1").claim(0, 0, budget=budget(calls=60, calls_used=21))
    of = replace(budget(calls=60), refused_ms=1000, refused=1)
    claims = [await bench.batcher("b1").claim(0, 0, budget=of) for _ in range(2)]

    assert [10 - 21, 10 - 21] == [each.calls_left for each in claims], (
        "half of what it took, once for all that it refused"
    )


async def test_the_tokens_of_refused_calls_come_before_those_of_other_jobs(bench: QueueEnds) -> None:
    await push(bench, 1)
    of = replace(budget(tokens=10), holds_jobs=True)
    first = await bench.batcher("b1").claim(1, 0, budget=replace(of, tokens_owed=9))
    second = await bench.batcher("b1").claim(1, 0, budget=replace(of, tokens_owed=9))

    assert ([], 1, 0) == (first.fresh, first.tokens_left, first.wait_ms)
    assert ([], 1) == (second.fresh, second.tokens_left)
    assert second.wait_ms > 0


async def test_a_budget_ends_by_itself_and_fills_with_time(bench: QueueEnds) -> None:
    await push(bench, 1, 2)
    spent = MinuteBudget("0a", 1, 0, 100)
    await bench.batcher("b1").claim(1, 0, budget=spent)
    life_ms = await bench.redis.pttl(KEYS.pace("0a"))

    assert life_ms <= 200
    assert life_ms != -1, "no time to live"  # -2: it has ended already
    await wait_until(lambda: gives(bench, spent))


async def gives(bench: QueueEnds, of: MinuteBudget) -> bool:
    return bool((await bench.batcher("b1").claim(1, 0, budget=of)).fresh)
