"""A call for more inputs than the upstream takes now is made in pieces, and is one answer."""

import json

from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.dialects.base import JSON, Answer, AskedRows, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.models import ServedModel
from autobatch_shared.redis.clock import RedisClock
from tests.unit.builders import make_job
from tests.unit.upstreams import NO_CLIENT, LoneTrials, SaysLimits

OLD, NEW = (ServedModel(name * 8, name, "{}") for name in "ab")


class Lowered(Replica):
    """Takes fewer inputs than it was known to take; becomes another model before one of its calls."""

    def __init__(self, inputs_max: int, *, is_known: bool = False, changes_at: int = -1, guilty: str = "") -> None:
        super().__init__("http://a", NO_CLIENT, [Tei()], configured(inputs_max if is_known else 32, 10**6), Tuner(1))
        self.prober = SaysLimits(self, configured(inputs_max, 10**6))
        self.calls: list[list[str]] = []
        self.standing.learnt(OLD)
        self._inputs_max = inputs_max
        self._changes_at = changes_at
        self._guilty = guilty

    async def call(self, post: Post, timeout_s: float, asked: AskedRows | None = None) -> Answer:
        if len(self.calls) == self._changes_at:
            self.standing.learnt(NEW)
        return await super().call(post, timeout_s, asked)

    async def ask(self, post: Post, timeout_s: float) -> Answer:
        assert timeout_s > 0
        texts = json.loads(post.body)["inputs"]
        self.calls.append(texts)
        if len(texts) > self._inputs_max:
            return Answer(422, JSON, b'{"error":"too many"}', None)
        if self._guilty in texts:
            return Answer(422, JSON, b'{"error":"guilty"}', None)
        return Answer(200, JSON, json.dumps([[float(text)] for text in texts]).encode(), None)

    async def answers(self, *jobs: Job) -> list[tuple[int, str, bytes]]:
        """Return status, fingerprint and body of each reply."""
        clock = RedisClock()
        clock.sync(0)
        pool, metrics = Pool([self]), Metrics()
        caller = Caller(pool, LoneTrials(), clock, metrics, timeout_max_s=1, attempts_max=1)
        outcomes = await caller.answer(jobs, Slot(self, 1, 1, was_busy=True))
        parts = [outcome.frame.partition(b"\n") for outcome in outcomes]
        heads = [(json.loads(head), body) for head, _, body in parts]
        return [(head["status"], head.get("model", ""), body) for head, body in heads]


def numbers(start: int, stop: int) -> Job:
    inputs = [str(number) for number in range(start, stop)]
    return make_job(f"{start}", n=len(inputs), body=json.dumps(inputs).encode())


def rows(start: int, stop: int) -> bytes:
    return json.dumps([[float(number)] for number in range(start, stop)]).encode().replace(b", ", b",")


async def test_a_limit_that_was_lowered_unnoticed_is_asked_for_and_kept_to() -> None:
    upstream = Lowered(8)

    assert await upstream.answers(numbers(0, 20)) == [(200, OLD.fingerprint, rows(0, 20))]
    assert [len(call) for call in upstream.calls] == [20, 8, 8, 4]


async def test_a_known_limit_is_kept_to_from_the_first_call_on() -> None:
    upstream = Lowered(8, is_known=True)

    assert await upstream.answers(numbers(0, 20)) == [(200, OLD.fingerprint, rows(0, 20))]
    assert [len(call) for call in upstream.calls] == [8, 8, 4]


async def test_the_jobs_of_a_batch_get_their_own_rows() -> None:
    upstream = Lowered(8)

    answers = await upstream.answers(numbers(0, 10), numbers(10, 13))

    assert answers == [(200, OLD.fingerprint, rows(0, 10)), (200, OLD.fingerprint, rows(10, 13))]


async def test_a_refused_piece_speaks_for_its_job() -> None:
    assert await Lowered(8, guilty="17").answers(numbers(0, 20)) == [(422, OLD.fingerprint, b'{"error":"guilty"}')]


async def test_the_pieces_of_an_answer_are_of_one_model() -> None:
    upstream = Lowered(8, is_known=True, changes_at=2)

    assert await upstream.answers(numbers(0, 20)) == [(200, NEW.fingerprint, rows(0, 20))]
    assert [len(call) for call in upstream.calls] == [8, 8, 4, 8, 8, 4]
