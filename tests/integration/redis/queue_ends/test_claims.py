"""What is pushed is claimed in its order, within the bounds; bulk jobs have a queue of their own, and the room that others leave."""

from autobatch_shared.contract.frames import JobHeader, encode
from tests.integration.redis.queue_ends.ends import (
    KEYS,
    LATER_MS,
    NO_LIMIT,
    QueueEnds,
    everything,
    job,
    push,
    push_bulk,
)
from tests.support.waiting import wait_until


async def test_a_thousand_jobs_come_out_in_push_order(ends: QueueEnds) -> None:
    await push(ends, *range(1000))
    batcher = ends.batcher("b1")
    frames: list[bytes] = []
    while len(frames) < 1000:
        frames += (await batcher.claim(32, 4)).fresh
    assert [job(number) for number in range(1000)] == frames


async def test_a_claim_stops_at_the_inputs_that_were_wanted(ends: QueueEnds) -> None:
    await ends.worker.push([(False, [job(number, n=10)]) for number in range(5)], NO_LIMIT)
    claim = await ends.batcher("b1").claim(25, 0)
    assert [job(number, n=10) for number in range(3)] == claim.fresh
    assert claim.queued == 2


async def test_an_empty_queue_gives_an_empty_claim(ends: QueueEnds) -> None:
    claim = await ends.batcher("b1").claim(32, 4)
    assert ([], 0, 0) == (everything(claim), claim.queued, claim.dropped)
    assert claim.redis_ms > 1_700_000_000_000


async def test_a_full_queue_refuses_without_pushing(ends: QueueEnds) -> None:
    """Each request wholly or not at all; a smaller one behind a refused one may still fit."""
    requests = [[job(1, n=3), job(2, n=3)], [job(3, n=5)], [job(4, n=4)]]
    assert {1} == await ends.worker.push([(False, frames) for frames in requests], 10)
    claim = await ends.batcher("b1").claim(100, 0)
    assert [job(1, n=3), job(2, n=3), job(4, n=4)] == claim.fresh


async def test_room_comes_back_when_jobs_are_claimed(ends: QueueEnds) -> None:
    await ends.worker.push([(False, [job(1, n=8)])], 10)
    assert {0} == await ends.worker.push([(False, [job(2, n=8)])], 10)
    await ends.batcher("b1").claim(8, 0)
    assert set() == await ends.worker.push([(False, [job(3, n=8)])], 10)


async def test_the_count_of_waiting_inputs_heals_when_the_queue_is_empty(ends: QueueEnds) -> None:
    """A list that was deleted by hand must not leave a queue that refuses for ever."""
    await ends.worker.push([(False, [job(1, n=10)])], 10)
    await ends.redis.delete(KEYS.jobs)
    await ends.batcher("b1").claim(1, 0)
    await push(ends, 2)
    await ends.batcher("b1").claim(1, 0)
    assert set() == await ends.worker.push([(False, [job(3, n=10)])], 10)


async def test_a_push_of_more_frames_than_lua_can_unpack(ends: QueueEnds) -> None:
    await push(ends, *range(9000))
    assert await ends.redis.llen(KEYS.jobs) == 9000


async def test_a_big_body_weighs_more_than_its_inputs(ends: QueueEnds) -> None:
    """Or ten thousand inputs of 2 MB would fill Redis long before the queue is full."""
    big = encode(JobHeader("w1.1", 1, 1, LATER_MS, "/embed"), b"x" * 80_000)
    assert {1} == await ends.worker.push([(False, [big]), (False, [job(2)])], 10)
    await ends.batcher("b1").claim(100, 0)
    assert set() == await ends.worker.push([(False, [job(number) for number in range(10)])], 10)


async def test_jobs_whose_client_has_gone_are_not_claimed(ends: QueueEnds) -> None:
    await push(ends, 1, 2, 3)
    await ends.worker.forget(["w1.2", "w1.9"], 50)
    claim = await ends.batcher("b1").claim(32, 0)
    assert ([job(1), job(3)], 1) == (claim.fresh, claim.dropped)
    await wait_until(lambda: is_forgotten(ends, "w1.9"))
    assert await ends.redis.exists(f"{KEYS.gone}:w1.2") == 0


async def is_forgotten(ends: QueueEnds, job_id: str) -> bool:
    """The mark of a job that was answered meanwhile goes with the job's deadline."""
    return await ends.redis.exists(f"{KEYS.gone}:{job_id}") == 0


async def test_what_is_no_job_is_counted_and_not_kept(ends: QueueEnds) -> None:
    """Its bytes may be a user's text."""
    await ends.redis.rpush(KEYS.jobs, b"rubbish")
    await push(ends, 1)
    claim = await ends.batcher("b1").claim(32, 4)
    assert ([job(1)], 1) == (claim.fresh, claim.malformed)
    assert await ends.redis.exists(KEYS.dead) == 0


async def test_bulk_fills_what_room_is_left(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    await push_bulk(ends, *range(10, 20))
    claim = await ends.batcher("b1").claim(32, 0, fill=5)
    assert [job(1), job(2)] == claim.fresh
    assert [job(10), job(11), job(12)] == claim.bulk
    assert (0, 7) == (claim.queued, claim.queued_bulk)


async def test_bulk_gets_its_share_beside_a_full_queue(ends: QueueEnds) -> None:
    await push(ends, *range(1, 9))
    await push_bulk(ends, *range(10, 20))
    claim = await ends.batcher("b1").claim(4, 0, bulk=2, fill=4)
    assert [job(number) for number in (1, 2, 3, 4)] == claim.fresh
    assert [job(10), job(11)] == claim.bulk


async def test_bulk_wakes_an_idle_batcher(ends: QueueEnds) -> None:
    await push_bulk(ends, 1, 2)
    assert await ends.batcher("b1").watch(0.5)
    assert [job(1), job(2)] == (await ends.batcher("b1").claim(1, 0, fill=5)).bulk


async def test_bulk_has_room_of_its_own(ends: QueueEnds) -> None:
    """A large request must not make single ones be refused, nor the other way round; and what is taken gives room."""
    large = [job(number, n=2) for number in range(5)]
    assert set() == await ends.worker.push([(False, [job(9)]), (True, large)], 10)
    assert {0} == await ends.worker.push([(True, [job(20)]), (False, [job(21, n=9)])], 10)
    await ends.batcher("b1").claim(100, 0, fill=100)
    assert set() == await ends.worker.push([(True, large), (False, [job(30, n=10)])], 10)


async def test_no_count_is_left_of_bulk_jobs_that_were_claimed(ends: QueueEnds) -> None:
    for number in range(20):
        await push_bulk(ends, number, n=10)
        await ends.batcher("b1").claim(10, 0, fill=10)
    assert [None, None] == await ends.redis.mget(KEYS.waiting, KEYS.waiting_bulk)
