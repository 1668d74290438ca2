"""What a batch costs its upstream in calls, and what is learnt from these."""

import asyncio
import json
from collections.abc import Collection

import msgspec
import pytest

from autobatch_batcher.calling import retries
from autobatch_batcher.calling.budget import RETRIES_KEPT_MAX, RETRY_SHARE
from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.calling.outcomes import JobOutcome
from autobatch_batcher.dialects.base import Answer, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.simulating.virtual_time import VirtualTimeLoop
from autobatch_batcher.tuning.tuner import Sample, Tuner
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.errors import InvalidRequest, UpstreamUnavailable
from autobatch_shared.contract.frames import ReplyHeader, decode_reply
from autobatch_shared.contract.options import Options
from autobatch_shared.redis.clock import RedisClock
from tests.unit.builders import Kind, make_job
from tests.unit.upstreams import NO_CLIENT, NO_SESSION, LoneTrials, SaysLimits, open_breaker

JSON = "application/json"


class Listening(Tuner):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(1)
        self.samples: list[Sample] = []

    def note(self, sample: Sample) -> None:
        self.samples.append(sample)


class Refusing(Replica):
    """Answers calls, and refuses those that have a guilty text."""

    def __init__(self, guilty: str = "", status: int = 413) -> None:
        self.heard = Listening()
        super().__init__("http://a", NO_CLIENT, [Tei()], configured(100, 10**6), self.heard)
        self.prober = SaysLimits(self, self.limits)
        self.calls: list[list[str]] = []
        self.error = b'{"error":"too long"}'
        self._guilty = guilty
        self._status = status

    async def ask(self, post: Post, timeout_s: float) -> Answer:
        assert (post.path, timeout_s) == ("/embed", 1), post.content_type
        inputs = json.loads(post.body)["inputs"]
        self.calls.append(inputs)
        if self._guilty in inputs:
            return Answer(self._status, JSON, self.error, None)
        return Answer(200, JSON, json.dumps([[float(len(text))] for text in inputs]).encode(), None)

    async def outcomes(self, jobs: list[Job]) -> list[JobOutcome]:
        """Return what becomes of a batch that is not called a second time after an outage."""
        clock = RedisClock()
        clock.sync(0)
        pool, metrics = Pool([self]), Metrics()
        caller = Caller(pool, LoneTrials(), clock, metrics, timeout_max_s=1, attempts_max=1)
        return await caller.answer(jobs, Slot(self, len(jobs), len(jobs), was_busy=True))

    async def answers(self, jobs: list[Job]) -> list[tuple[str, int, bytes]]:
        """Return job, status and body of each reply."""
        replies = await self.outcomes(jobs)
        parts = [reply.frame.partition(b"\n") for reply in replies]
        return [
            (reply.job, json.loads(head)["status"], body) for reply, (head, _, body) in zip(replies, parts, strict=True)
        ]


def texts(*each: str) -> list[Job]:
    return [make_job(str(place), body=json.dumps([text]).encode(), longest=1) for place, text in enumerate(each)]


async def test_what_several_ask_for_is_asked_for_once() -> None:
    upstream = Refusing()
    jobs = texts("aa", "b", "aa", "aa")

    answers = await upstream.answers(jobs)

    assert [["aa", "b"]] == upstream.calls
    rows = [b"[[2.0]]", b"[[1.0]]", b"[[2.0]]", b"[[2.0]]"]
    assert [(job.header.id, 200, row) for job, row in zip(jobs, rows, strict=True)] == answers


async def test_a_guilty_input_fails_alone() -> None:
    answers = await Refusing("bad").answers(texts("a", "bad", "c", "d"))

    assert [200, 413, 200, 200] == [status for _, status, _ in answers]


@pytest.mark.parametrize("status", [413, 500])
async def test_an_error_that_is_passed_on_is_stored_under_the_claim_only(status: int) -> None:
    """If it comes late, another batcher may have the vector by then."""
    outcomes = await Refusing("bad", status).outcomes(texts("good", "bad"))

    assert [False, True] == [outcome.is_failure for outcome in outcomes]


@pytest.mark.parametrize("status", [413, 424])
async def test_what_several_ask_for_is_refused_once(status: int) -> None:
    """A hundred clients with the same text that is too long would be 199 calls, one after the other, in one slot."""
    upstream = Refusing("bad", status)

    answers = await upstream.answers(texts(*["bad"] * 100))

    assert [status] * 100 == [status for _, status, _ in answers]
    assert 1 == len(upstream.calls)


async def test_of_a_good_call_the_tuner_hears_what_was_computed() -> None:
    upstream = Refusing()
    await upstream.answers(texts("aa", "b", "aa"))

    (sample,) = upstream.heard.samples
    assert (upstream.tuner.setting, 2, True) == (sample.setting, sample.padded, sample.was_busy)


async def test_what_was_good_of_a_call_is_no_more_than_what_was_computed() -> None:
    """Or a block of calls with twins in it looks better than it was, and wins a trial by that."""
    upstream = Refusing()
    await upstream.answers(texts("aa", "b", *["aa"] * 50))

    (sample,) = upstream.heard.samples
    assert sample.useful <= sample.padded


@pytest.mark.parametrize("kind", ["merge", "verbatim"])
async def test_of_any_other_call_the_tuner_hears_that_it_has_ended(kind: Kind) -> None:
    upstream = Refusing("bad", 400)
    await upstream.answers([make_job("a", kind=kind, body=b'["bad"]' if kind == "merge" else b'{"inputs":["a"]}')])

    assert [0] == [sample.padded for sample in upstream.heard.samples]


async def spent(upstream: Replica, attempts_max: int, *jobs: Job) -> list[tuple[int, int, int, int]]:
    """Return status, milliseconds in the queue and at the upstream, and inputs of the call, of each job's reply."""
    clock, pool, metrics = RedisClock(asyncio.get_running_loop().time), Pool([upstream]), Metrics()
    clock.sync(0)
    caller = Caller(pool, LoneTrials(), clock, metrics, timeout_max_s=60, attempts_max=attempts_max)
    slot = Slot(upstream, len(jobs), len(jobs), was_busy=True)
    outcomes = await caller.answer(jobs, slot)
    assert max(job.called_us for job in jobs) <= 1e6 * slot.called_s
    headers = [decode_reply(each.frame)[0] for each in outcomes]
    return [(each.status, each.queue_us // 1000, each.upstream_us // 1000, each.batch) for each in headers]


class TakesASecond(Refusing):
    """Answers each call after a second, the first of them with these statuses."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self._statuses = list(statuses)

    async def ask(self, post: Post, timeout_s: float) -> Answer:  # noqa: ARG002
        await asyncio.sleep(1.0)
        inputs = json.loads(post.body)["inputs"]
        if self._statuses:
            return Answer(self._statuses.pop(0), JSON, b"", None)
        return Answer(200, JSON, json.dumps([[1.0]] * len(inputs)).encode(), None)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], [(200, 0, 1000, 2)] * 2),
        ([503], [(200, 0, 2000, 2)] * 2),
        ([503] * 5, [(0, 2000, 3000, 2)] * 2),  # it is asked twice with a text of ours
        ([413], [(200, 0, 2000, 1)] * 2),
    ],
    ids=["answered", "retried", "given up", "in halves, both at once"],
)
def test_time_in_calls_is_the_upstreams_and_all_other_time_the_queues(
    monkeypatch: pytest.MonkeyPatch, statuses: list[int], expected: list[tuple[int, int, int, int]]
) -> None:
    monkeypatch.setattr(retries, "random", lambda: 0.0)  # no pause
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert expected == runner.run(spent(TakesASecond(*statuses), 3, *texts("a", "b")))


# Retries, and jobs that wait for another call.


class Failing(Replica):
    """Answers every call with this status, or cannot be reached."""

    def __init__(self, status: int | None) -> None:
        super().__init__("http://a", NO_CLIENT, [Tei()], configured(100, 10**6), Tuner(1))
        self.is_healthy = True
        self.sent = 0
        self._status = status

    async def ask(self, post: Post, _timeout_s: float) -> Answer:
        self.sent += len(json.loads(post.body)["inputs"])
        if self._status is None:
            self.down_since_s = asyncio.get_running_loop().time()
            raise UpstreamUnavailable
        return Answer(self._status, JSON, b'{"error":"broken"}', None)


async def outcomes(upstream: Replica, batches: int, *, patience_s: float = 0.0) -> list[JobOutcome]:
    """Make calls of 32 jobs, with the usual attempts."""
    clock, pool, metrics = RedisClock(), Pool([upstream], patience_s), Metrics()
    clock.sync(0)
    caller = Caller(pool, LoneTrials(), clock, metrics, timeout_max_s=1, attempts_max=3)
    found = []
    for _ in range(batches):
        found += await caller.answer(texts(*map(str, range(32))), Slot(upstream, 32, 32, was_busy=True))
    return found


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_seconds: float) -> None: ...

    monkeypatch.setattr(retries, "pause", at_once)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [500, 424, 503])
async def test_a_failing_upstream_gets_little_more_than_what_was_asked(status: int) -> None:
    """With three tries and then halves of halves it would get eight times that: just when it can do least."""
    upstream = Failing(status)

    told = await outcomes(upstream, 100)

    assert upstream.sent <= 32 * (100 * (1 + RETRY_SHARE) + RETRIES_KEPT_MAX)
    assert {"upstream_unavailable"} >= {decode_reply(each.frame)[0].fault for each in told} - {""}


async def test_what_an_upstream_refuses_is_not_called_again_and_may_wait() -> None:
    upstream = Failing(429)

    told = await outcomes(upstream, 1)

    assert 32 == upstream.sent
    assert {("upstream_overloaded", True)} == {(decode_reply(each.frame)[0].fault, each.may_wait) for each in told}
    assert 16 == upstream.congestion.inputs_max


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(("patience_s", "may_wait", "calls"), [(10.0, True, 1), (0.0, False, 3)])
async def test_jobs_that_reached_no_upstream_may_wait_while_there_is_patience(
    patience_s: float,
    may_wait: bool,  # noqa: FBT001
    calls: int,
) -> None:
    upstream = Failing(None)

    told = await outcomes(upstream, 1, patience_s=patience_s)

    assert 32 * calls == upstream.sent
    assert {("upstream_unavailable", may_wait)} == {(decode_reply(each.frame)[0].fault, each.may_wait) for each in told}


async def test_jobs_beside_a_trial_wait_for_what_comes_of_it() -> None:
    """Their slot was taken before the trial began."""
    upstream = Failing(200)
    open_breaker(upstream, 0.0)
    upstream.breaker.called()

    told = await outcomes(upstream, 1)

    assert 0 == upstream.sent
    assert {("upstream_unavailable", True)} == {(decode_reply(each.frame)[0].fault, each.may_wait) for each in told}


@pytest.mark.usefixtures("no_pauses")
async def test_one_guilty_input_in_each_batch_costs_its_neighbours_nothing() -> None:
    """Halves that succeed show that the upstream is well: they are paid back."""
    guilty = Refusing("7", 424)
    clock, pool, metrics = RedisClock(), Pool([guilty]), Metrics()
    clock.sync(0)
    caller = Caller(pool, LoneTrials(), clock, metrics, timeout_max_s=1, attempts_max=3)
    for _ in range(50):
        told = await caller.answer(texts(*map(str, range(32))), Slot(guilty, 32, 32, was_busy=True))
        statuses = [decode_reply(each.frame)[0].status for each in told]
        assert [424 if place == 7 else 200 for place in range(32)] == statuses


class TakesTexts(Tei):
    """Refuses what is not a text, before there is a call."""

    def compose(self, route: str, inputs: Collection[bytes], options: Options | None) -> Post:
        if not all(each.startswith(b'"') for each in inputs):
            raise InvalidRequest("texts only")
        return super().compose(route, inputs, options)


async def test_an_input_that_the_dialect_refuses_is_an_error_only_to_who_sent_it() -> None:
    upstream = Refusing("nothing")
    upstream.dialect = TakesTexts()
    jobs = texts("a", "b", "c")
    jobs[1] = msgspec.structs.replace(jobs[1], body=b"[[101,102]]")

    headers = [decode_reply(outcome.frame)[0] for outcome in await upstream.outcomes(jobs)]

    assert [(200, ""), (0, InvalidRequest.code), (200, "")] == [(each.status, each.fault) for each in headers]
    assert [["a"], ["c"]] == sorted(upstream.calls)


# Counts beside the calls.


class CountingClient(HttpClient):
    """Counts a token a character, unless it is unavailable."""

    def __init__(self, *, is_away: bool) -> None:
        super().__init__(NO_SESSION, "http://nowhere", None)
        self.asked: list[list[str]] = []
        self._is_away = is_away

    async def send(self, post: Post, timeout_s: float) -> Answer:
        assert (post.path, post.content_type, timeout_s) == ("/tokenize", JSON, 1)
        self.asked.append(json.loads(post.body)["inputs"])
        if self._is_away:
            raise UpstreamUnavailable
        return Answer(200, JSON, json.dumps([[{}] * len(text) for text in self.asked[-1]]).encode(), None)


class CountingReplica(Replica):
    """Computes, unless it does not, and counts by its client."""

    def __init__(self, name: str, *, is_away: bool = False, computes: bool = True) -> None:
        client = CountingClient(is_away=is_away)
        super().__init__(f"http://{name}", client, [Tei()], configured(100, 10**6), Tuner(1))
        self.is_healthy = True
        self.asked = client.asked
        self._computes = computes

    async def ask(self, post: Post, timeout_s: float) -> Answer:
        if post.path == "/tokenize":
            return await super().ask(post, timeout_s)
        if not self._computes:
            return Answer(503, JSON, b"", None)
        rows = json.dumps([[1.0]] * len(json.loads(post.body)["inputs"])).encode()
        return Answer(200, JSON, rows, None, {"x-compute-tokens": "77", "x-compute-type": "cpu", "x-queue-time": "3"})


def counted(*lists: list[str], by: set[int]) -> list[Job]:
    return [
        msgspec.structs.replace(job, header=msgspec.structs.replace(job.header, is_counted=place in by))
        for place, job in enumerate(
            make_job(str(place), n=len(each), body=json.dumps(each).encode()) for place, each in enumerate(lists)
        )
    ]


async def replies(jobs: list[Job], *upstreams: Replica) -> list[ReplyHeader]:
    clock = RedisClock()
    clock.sync(0)
    pool, metrics = Pool(list(upstreams)), Metrics()
    caller = Caller(pool, LoneTrials(), clock, metrics, timeout_max_s=1, attempts_max=2)
    found = await caller.answer(jobs, Slot(upstreams[0], len(jobs), len(jobs), was_busy=True))
    assert [task for task in asyncio.all_tasks() if task.get_name() == "counting" and not task.cancelling()] == []
    return [decode_reply(reply.frame)[0] for reply in found]


async def test_each_pays_for_their_own_tokens() -> None:
    upstream = CountingReplica("a")

    found = await replies(counted(["abc"], ["x"], ["abc", "de"], by={0, 2}), upstream)

    assert [[3], [], [3, 2]] == [reply.tokens for reply in found]
    assert [["abc", "de"]] == upstream.asked
    assert all(reply.measures == {"x-compute-type": "cpu"} for reply in found)


async def test_who_is_alone_pays_what_the_upstream_says() -> None:
    upstream = CountingReplica("a")

    (found,) = await replies(counted(["abc", "de"], by={0}), upstream)

    assert ([77], "3", []) == (found.tokens, found.measures["x-queue-time"], upstream.asked)


async def test_a_list_with_twins_is_not_what_the_upstream_computed() -> None:
    """Neither its tokens nor its characters are those of the request."""
    (found,) = await replies(counted(["abc", "abc"], by={0}), CountingReplica("a"))

    assert ([3, 3], {"x-compute-type": "cpu"}) == (found.tokens, found.measures)


async def test_a_count_that_fails_fails_only_who_asked() -> None:
    found = await replies(counted(["a"], ["b"], ["c"], by={1}), CountingReplica("a", is_away=True))

    assert [(200, ""), (0, "upstream_unavailable"), (200, "")] == [(reply.status, reply.fault) for reply in found]


async def test_a_call_that_moved_is_counted_where_it_was_answered() -> None:
    away, well = CountingReplica("a", is_away=True, computes=False), CountingReplica("b")

    found = await replies(counted(["a"], ["bc"], by={0, 1}), away, well)

    assert [(200, [1]), (200, [2])] == [(reply.status, reply.tokens) for reply in found]


async def test_a_route_of_another_model_is_told_to_all_at_once() -> None:
    """No retries and no halves: that takes a slot from others, for an answer that is known."""
    upstream = Refusing("x", 424)
    upstream.error = b'{"error":"Backend error: Model is not an embedding model","error_type":"Backend"}'
    jobs = texts("x", "b", "c")

    answers = await upstream.answers(jobs)

    assert [(job.header.id, 424, upstream.error) for job in jobs] == answers
    assert 1 == len(upstream.calls)


async def test_a_fault_in_learning_loses_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    upstream = Refusing()
    upstream.tuner = FaultyTuner()

    assert [(job, status) for job, status, _ in await upstream.answers([make_job("1")])] == [("w.1", 200)]
    assert [record.message for record in caplog.records] == ["learning_failed"]


class FaultyTuner(Tuner):
    """Has a fault."""

    def __init__(self) -> None:
        super().__init__(1)

    def note(self, sample: Sample) -> None:
        raise OverflowError(sample)
