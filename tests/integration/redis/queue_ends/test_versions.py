"""Jobs of other versions, and frames that are damaged."""

import pytest

from autobatch_shared.contract.frames import VERSION, id_in_queue
from tests.integration.redis.queue_ends.ends import KEYS, QueueEnds, job, of_version, push
from tests.support.version_1 import OLD_JOBS, OldJob


async def test_a_job_of_a_newer_version_is_left_to_the_batchers_of_that_version(ends: QueueEnds) -> None:
    newer = of_version(job(1), VERSION + 1)
    await ends.redis.rpush(KEYS.jobs, newer)
    await push(ends, 2)
    claim = await ends.batcher("b1").claim(32, 4)
    assert ([job(2)], 1) == (claim.fresh, claim.foreign)
    assert [newer] == await ends.redis.lrange(KEYS.of_version(VERSION + 1), 0, -1)
    assert await ends.redis.pttl(KEYS.of_version(VERSION + 1)) > 0
    assert await ends.batcher("b1").claimed() == {"w1.2": job(2)}


async def test_jobs_that_a_newer_batcher_left_to_us_are_claimed(ends: QueueEnds) -> None:
    await ends.redis.rpush(KEYS.of_version(VERSION), *map(job, (1, 2, 3)))
    await ends.redis.pexpire(KEYS.of_version(VERSION), 60_000)
    await push(ends, 4)
    batcher = ends.batcher("b1")
    first = await batcher.claim(2, 4)
    assert ([job(1), job(2)], 2) == (first.fresh, first.queued)
    assert [job(3), job(4)] == (await batcher.claim(32, 4)).fresh
    assert await batcher.claimed() == {f"w1.{number}": job(number) for number in (1, 2, 3, 4)}


@pytest.mark.parametrize("old", OLD_JOBS)
async def test_a_job_of_another_version_is_claimed_to_be_answered(ends: QueueEnds, old: OldJob) -> None:
    await ends.redis.rpush(KEYS.jobs, old.frame)
    assert (await ends.batcher("b1").claim(32, 0)).fresh == [old.frame]
    assert await ends.batcher("b1").claimed() == {old.id: old.frame}


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
async def test_what_is_claimed_has_the_id_that_python_reads(ends: QueueEnds, change: tuple[bytes, bytes]) -> None:
    """`claim.lua` and `id_in_queue` read the same frames: else a claim would be held that cannot be given up."""
    frame = job(1).replace(*change, 1)
    await ends.redis.rpush(KEYS.jobs, frame)
    claimed = await ends.batcher("b1").claim(32, 0)
    assert ([frame] if id_in_queue(frame) else []) == claimed.fresh
    assert {id_in_queue(frame)} - {""} == set(await ends.batcher("b1").claimed())
