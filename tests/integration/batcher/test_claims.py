"""What a batcher holds, when the answers of its own commands get lost on the way."""

from collections.abc import Sequence
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis

from autobatch_batcher.claiming.claims import SUSPECTS_PER_CLAIM, Claims
from autobatch_batcher.claiming.lease import Lease
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming.lanes import Lanes, Reason, why_whole
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.recent_calls import NO_CALL_SEEN, CallTime
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import configured
from autobatch_shared.contract.errors import DeadlineExceeded, MalformedFrame, QueueUnavailable
from autobatch_shared.contract.frames import JobHeader, ReplyHeader, decode_reply, encode
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.commands import Command, Commands
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.integration.fake_commands import FakeCommands
from tests.support.version_1 import OLD_JOBS

KEYS = Keys("test")


class LosingCommands:
    """Executes commands, and loses the answer of the next one when told to."""

    def __init__(self, inner: Commands) -> None:
        self.loses_next = False
        self._inner = inner

    async def execute(self, *args: str | bytes | int) -> Any:
        return self._pass(await self._inner.execute(*args))

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = self._pass(await self._inner.transaction(commands))
        return replies

    def _pass(self, reply: Any) -> Any:
        if self.loses_next:
            self.loses_next = False
            raise QueueUnavailable
        return reply


def job(number: int, at: int = 1, deadline: int = 4_000_000_000_000) -> bytes:
    return encode(JobHeader(f"w1.{number}", 1, at, deadline, "/embed"), b'["text"]')


class Scene:
    """A worker that has pushed, and a batcher whose connection loses answers."""

    def __init__(self) -> None:
        self.call_s = 0.0  # what a call takes, as far as is known
        self.redis = FakeAsyncRedis(version=(7, 0))
        commands = FakeCommands(self.redis)
        self.link = LosingCommands(commands)
        self.worker = WorkerQueue(commands, commands, KEYS, "w1")
        self.lanes = Lanes(Tei().envelope_bytes)
        self.metrics = Metrics()
        self.queue = BatcherQueue(self.link, self.link, KEYS, "b1", lease_ms=60_000, reply_ttl_ms=60_000)
        self.claims = Claims(self.queue, self.lanes, RedisClock(), self.metrics, lambda _now_s: self.call_s)

    async def push(self, *numbers: int, at: int = 1, deadline: int = 4_000_000_000_000) -> None:
        for number in numbers:
            await self.worker.push([(False, [job(number, at, deadline)])], 1000)

    async def reply_to(self, job: str) -> tuple[ReplyHeader, bytes]:
        (frame,) = await self.worker.read_replies([job])
        return decode_reply(frame or b"")

    @property
    def held(self) -> list[str]:
        return sorted(job.header.id for job in self.lanes)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_claim_whose_answer_is_lost_loses_no_job(scene: Scene) -> None:
    await scene.push(1, 2)
    await scene.claims.claim(1, 32, 32)
    scene.link.loses_next = True
    with pytest.raises(QueueUnavailable):
        await scene.claims.claim(10, 32, 32)
    assert scene.held == ["w1.1"]
    await scene.claims.recover()
    assert scene.held == ["w1.1", "w1.2"]


async def test_jobs_of_a_claim_whose_answer_was_lost_share_a_call_with_the_others(scene: Scene) -> None:
    """No batcher died of them: one by one they would hold up all traffic."""
    await scene.push(1, 2, 3)
    await scene.claims.claim(1, 32, 32)
    scene.link.loses_next = True
    with pytest.raises(QueueUnavailable):
        await scene.claims.claim(10, 32, 32)
    await scene.claims.recover()
    assert ["w1.1", "w1.2", "w1.3"] == scene.held
    assert 1 == len(scene.lanes.by_age())


async def test_what_killed_two_batchers_travels_alone_and_what_killed_one_does_not(scene: Scene) -> None:
    await scene.push(1)
    await scene.redis.rpush(KEYS.retry, job(2))
    await scene.redis.rpush(KEYS.suspects, job(3), job(4))
    await scene.claims.claim(32, 32, 32)
    lanes = [[each.header.id for each in lane] for lane in scene.lanes.by_age()]
    assert sorted(map(sorted, lanes)) == [["w1.1", "w1.2"], ["w1.3"], ["w1.4"]]


async def test_what_killed_two_batchers_shares_calls_where_there_is_no_time_for_one_after_the_other(
    scene: Scene,
) -> None:
    deadline = int(await scene.queue.redis_ms()) + 28_000
    await scene.redis.rpush(KEYS.suspects, *[job(number, deadline=deadline) for number in range(84)])
    scene.call_s = 1.5
    while scene.claims.may_have_jobs:
        await scene.claims.claim(32, 32, 32)
    sizes = [len(lane) for lane in scene.lanes.by_age()]
    assert [1] * SUSPECTS_PER_CLAIM == sizes[:SUSPECTS_PER_CLAIM]
    assert (84, True) == (sum(sizes), 16 <= max(sizes) < 32)
    limits, shape = configured(32, 1_000_000), BatchShape(None, None)
    assert {why_whole(lane, limits, shape) for lane in scene.lanes.by_age()} == {Reason.ALONE}


async def test_a_recovery_whose_answer_is_lost_is_done_again(scene: Scene) -> None:
    await scene.push(1)
    for step in (scene.claims.claim(1, 32, 32), scene.claims.recover()):
        scene.link.loses_next = True
        with pytest.raises(QueueUnavailable):
            await step
    await scene.claims.recover()
    assert scene.held == ["w1.1"]


async def test_without_doubt_nothing_is_fetched(scene: Scene) -> None:
    scene.link.loses_next = True
    await scene.claims.recover()
    assert scene.link.loses_next


async def test_an_expired_job_gives_up_its_claim_though_the_first_try_is_lost(scene: Scene) -> None:
    await scene.push(1, deadline=2)
    await scene.claims.claim(1, 32, 32)
    scene.link.loses_next = True
    with pytest.raises(QueueUnavailable):
        await scene.claims.drop_expired(NO_CALL_SEEN)
    await scene.claims.recover()
    await scene.claims.drop_expired(NO_CALL_SEEN)
    assert scene.held == []
    assert await scene.redis.exists(KEYS.claimed("b1")) == 0


async def test_an_expired_job_is_answered_as_such(scene: Scene) -> None:
    """Its worker has time left, if Redis's clock stepped ahead since the push."""
    await scene.push(1, deadline=2)
    await scene.claims.claim(1, 32, 32)
    await scene.claims.drop_expired(NO_CALL_SEEN)
    assert ["w1.1"] == await scene.worker.pop_inbox(1)
    assert DeadlineExceeded.code == (await scene.reply_to("w1.1"))[0].fault


async def test_a_damaged_job_is_answered_as_such(scene: Scene) -> None:
    await scene.redis.rpush(KEYS.jobs, job(1).replace(b"text", b"fext"))
    await scene.claims.claim(1, 32, 32)
    assert ["w1.1"] == await scene.worker.pop_inbox(1)
    assert MalformedFrame.code == (await scene.reply_to("w1.1"))[0].fault
    assert await scene.redis.exists(KEYS.claimed("b1"), KEYS.dead) == 0


async def test_a_job_from_before_a_step_back_of_the_clock_keeps_its_time_and_no_more(scene: Scene) -> None:
    now_ms = int(await scene.worker.redis_ms())
    hour_ms = 3_600_000
    await scene.push(1, at=now_ms + hour_ms, deadline=now_ms + hour_ms + 30_000)
    await scene.claims.claim(1, 32, 32)
    (held,) = scene.lanes
    assert held.header.deadline - held.header.at == 30_000
    assert held.header.at == pytest.approx(now_ms, abs=5000)


async def test_a_job_that_comes_again_while_it_is_in_hand_is_not_held_twice(scene: Scene) -> None:
    """After the lease was lost, another batcher gave it back while its call went on: the call answers it."""
    await scene.push(1)
    await scene.redis.rpush(KEYS.retry, job(1))
    await scene.claims.claim(32, 32, 32)
    assert (["w1.1"], 1) == (scene.held, scene.lanes.inputs)


async def test_what_is_held_and_was_lost_by_redis_is_dropped(scene: Scene) -> None:
    """Its worker pushes it again."""
    await scene.push(1, 2)
    await scene.claims.claim(32, 32, 32)
    await scene.redis.hdel(KEYS.claimed("b1"), "w1.1")
    scene.claims.doubt()
    await scene.claims.recover()
    assert (["w1.2"], 1) == (scene.held, scene.lanes.inputs)


def lease(scene: Scene) -> Lease:
    return Lease(scene.queue, scene.claims, RedisClock(), scene.metrics, 60_000)


async def test_a_beat_notices_that_redis_lost_its_data(scene: Scene) -> None:
    """Also if a claim has renewed the lease since."""
    beating = lease(scene)
    await scene.push(1)
    await beating.beat(0)
    await scene.claims.claim(32, 32, 32)
    await scene.redis.flushall()
    await scene.push(2)
    await scene.claims.claim(32, 32, 32)
    assert scene.held == ["w1.1", "w1.2"]
    await beating.beat(0)
    await scene.claims.recover()
    assert scene.held == ["w1.2"]


async def test_what_was_lost_with_the_lease_is_not_in_hand(scene: Scene) -> None:
    await scene.push(1)
    await scene.claims.claim(1, 32, 32)
    scene.claims.lose_lanes()
    assert scene.held == []
    scene.claims.doubt()
    await scene.claims.recover()
    assert scene.held == ["w1.1"]


async def test_jobs_of_another_version_are_answered_counted_and_logged_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.redis.rpush(KEYS.jobs, *[old.frame for old in OLD_JOBS], b"rubbish")
    await scene.push(9)
    await scene.claims.claim(1, 32, 32)
    await scene.claims.claim(32, 32, 32)
    assert scene.held == ["w1.9"]
    assert [old.id for old in OLD_JOBS] == await scene.worker.pop_inbox(1)
    assert [b"w1.9"] == await scene.redis.hkeys(KEYS.claimed("b1"))
    assert await scene.redis.exists(KEYS.dead) == 0
    dropped = scene.metrics.registry.get_sample_value("autobatch_jobs_dropped_total", {"reason": "version"})
    assert len(OLD_JOBS) == dropped
    assert 1 == [record.message for record in caplog.records].count("frame_of_another_version")


async def test_a_job_of_another_version_in_a_lost_claim_is_answered(scene: Scene) -> None:
    await scene.redis.rpush(KEYS.jobs, OLD_JOBS[0].frame)
    scene.link.loses_next = True
    with pytest.raises(QueueUnavailable):
        await scene.claims.claim(1, 32, 32)
    await scene.claims.recover()
    assert [OLD_JOBS[0].id] == await scene.worker.pop_inbox(1)
    assert await scene.redis.exists(KEYS.claimed("b1")) == 0


async def test_a_job_that_is_dropped_before_its_deadline_is_answered_at_once(scene: Scene) -> None:
    now_ms = 1_000 * (await scene.redis.time())[0]
    await scene.push(1, deadline=now_ms + 60_000)
    await scene.claims.claim(1, 32, 32)
    await scene.claims.drop_expired(CallTime(any_s=3_600.0, per_unit_s=3_600.0, fixed_units=1.0))
    (job,) = await scene.worker.pop_inbox(1)
    (frame,) = await scene.worker.read_replies([job])
    assert frame is not None
    assert ("w1.1", "deadline_exceeded") == (job, decode_reply(frame)[0].fault)
    assert await scene.redis.exists(KEYS.claimed("b1")) == 0
