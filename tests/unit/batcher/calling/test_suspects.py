"""Which input is to blame when an upstream dies in mid-call, and which is not."""

import asyncio
import json
from collections.abc import Callable, Iterable

from autobatch_batcher.calling.blame import suspects
from autobatch_batcher.calling.blame.trials import Turn
from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.calling.outcomes import JobOutcome
from autobatch_batcher.dialects.base import Answer, AskedRows, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.replica_state import ReplicaLoad
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.errors import QueueUnavailable, UpstreamBroken
from autobatch_shared.contract.frames import decode_job
from autobatch_shared.redis.clock import RedisClock
from tests.support.waiting import wait_until
from tests.unit.builders import make_job
from tests.unit.upstreams import NO_CLIENT, LoneTrials


class Mortal(Replica):
    """Closes the connection of calls that crash it; it is restarted before its next health check.

    Attributes:
        calls: Inputs of each.
        calls_max: The most calls at once.
        hangs_up: Whether it does on a call with these inputs.
        survives: Whether it is there still after that.
    """

    calls_max = 1

    def __init__(self, hangs_up: Callable[[list[str]], bool], *, survives: bool = False) -> None:
        super().__init__("http://a", NO_CLIENT, [Tei()], configured(100, 10**6), Tuner(2))
        self.is_healthy = True
        self.calls: list[list[str]] = []
        self._hangs_up = hangs_up
        self._survives = survives
        self._is_dead = False

    async def call(self, post: Post, timeout_s: float, asked: AskedRows | None = None) -> Answer:
        assert (post.path, post.content_type, timeout_s) == ("/embed", "application/json", 1)
        assert self.load.calls <= self.calls_max
        inputs = json.loads(post.body)["inputs"]
        self.calls.append(inputs)
        if self._hangs_up(inputs):
            self._is_dead = not self._survives
            raise UpstreamBroken
        assert asked is not None
        return Answer(200, "application/json", b"", None, rows=[b"[%d.0]" % len(text) for text in inputs])

    async def listens(self) -> bool:
        was_dead, self._is_dead = self._is_dead, False
        return not was_dead

    async def answers(self, jobs: list[Job], trials: LoneTrials, attempts_max: int = 3) -> list[str]:
        """Return what each job is told: `200`, or the code of a fault."""
        clock, pool, metrics = RedisClock(), Pool([self]), Metrics()
        clock.sync(0)
        caller = Caller(pool, trials, clock, metrics, timeout_max_s=1, attempts_max=attempts_max)
        slot = Slot(self, len(jobs), len(jobs), was_busy=True)
        replies = await caller.answer(jobs, slot)
        slot.release()
        assert self.load == ReplicaLoad()
        assert [job.header.id for job in jobs] == [reply.job for reply in replies]
        heads = [json.loads(reply.frame.partition(b"\n")[0]) for reply in replies]
        return [head.get("fault") or str(head["status"]) for head in heads]


def texts(each: Iterable[str]) -> list[Job]:
    return [make_job(str(place), body=json.dumps([text]).encode(), longest=1) for place, text in enumerate(each)]


async def test_an_input_of_which_it_dies_twice_is_given_up_and_its_neighbours_are_answered() -> None:
    upstream, trials = Mortal(lambda inputs: "deadly" in inputs), LoneTrials()
    jobs = texts(["a", "deadly", "c"])

    assert ["200", "job_poisonous", "200"] == await upstream.answers(jobs, trials)
    assert [["a", "deadly", "c"], ["a"], ["deadly"], ["c"]] == upstream.calls
    assert [(jobs[1].header, jobs[1].body)] == [decode_job(frame) for frame in trials.buried]


async def test_the_senders_of_one_such_text_share_its_fate() -> None:
    """Or each of them would cost a death."""
    upstream, trials = Mortal(lambda inputs: "deadly" in inputs), LoneTrials()

    assert ["job_poisonous", "200", "job_poisonous"] == await upstream.answers(texts(["deadly", "b", "deadly"]), trials)
    assert 3 == len(upstream.calls)
    assert 2 == len(trials.buried)


async def test_a_call_that_died_by_chance_costs_nobody_an_answer() -> None:
    upstream, trials = Mortal(lambda inputs: len(inputs) > 1), LoneTrials()

    assert ["200", "200"] == await upstream.answers(texts("ab"), trials)
    assert [] == trials.buried


async def test_an_upstream_that_hangs_up_and_lives_has_an_outage() -> None:
    """No input is to blame, and after as many attempts as ever the others are not tried at all."""
    upstream, trials = Mortal(lambda _inputs: True, survives=True), LoneTrials()

    assert ["upstream_broken"] * 3 == await upstream.answers(texts("abc"), trials)
    assert [["a", "b", "c"], ["a"], ["a"]] == upstream.calls
    assert [] == trials.buried


async def test_one_of_which_it_only_hangs_up_fails_alone() -> None:
    upstream, trials = Mortal(lambda inputs: "b" in inputs, survives=True), LoneTrials()

    assert ["200", "upstream_broken", "200"] == await upstream.answers(texts("abc"), trials)


async def test_who_was_cut_by_another_ones_trial_is_tried_as_it_was() -> None:
    cuts = iter([True])
    upstream, trials = Mortal(lambda _inputs: next(cuts, False)), LoneTrials()
    trials.others_try = True

    assert ["200", "200"] == await upstream.answers(texts("ab"), trials)
    assert [["a", "b"], ["a", "b"]] == upstream.calls


async def test_a_guilty_one_that_was_cut_by_another_ones_trial_is_found_all_the_same() -> None:
    upstream, trials = Mortal(lambda inputs: "deadly" in inputs), LoneTrials()
    trials.others_try = True

    assert ["200", "job_poisonous"] == await upstream.answers(texts(["a", "deadly"]), trials)


async def test_a_trial_that_was_hung_up_on_lingers() -> None:
    """So that the calls that were cut with it know that there was one."""
    trials = LoneTrials()
    await Mortal(lambda inputs: "deadly" in inputs).answers(texts(["a", "deadly"]), trials)

    assert [0, suspects.LINGER_MS] == trials.lingered_ms


async def test_who_is_hung_up_on_while_it_is_away_is_no_suspect() -> None:
    """A balancer in front of it takes the connection and drops it: an outage, told after the usual attempts."""
    upstream, trials = Mortal(lambda _inputs: True), LoneTrials()
    upstream.is_healthy = False

    assert ["upstream_unavailable"] * 2 == await upstream.answers(texts("ab"), trials)
    assert [["a", "b"]] * 3 == upstream.calls


class Slow(Mortal):
    """Each of its calls takes 0.6 s, on a clock that only calls move."""

    def __init__(self, hangs_up: Callable[[list[str]], bool]) -> None:
        super().__init__(hangs_up)
        self.clock = StoppedClock()
        self.told: list[tuple[int, list[str]]] = []

    async def call(self, post: Post, timeout_s: float, asked: AskedRows | None = None) -> Answer:
        self.clock.time_ms += 600
        return await super().call(post, timeout_s, asked)

    async def tell(self, outcomes: list[JobOutcome]) -> None:
        self.told.append((self.clock.time_ms, [outcome.job for outcome in outcomes]))

    async def finds(self, jobs: list[Job], trials: LoneTrials | None = None) -> list[JobOutcome]:
        pool, metrics = Pool([self]), Metrics()
        caller = Caller(
            pool,
            trials or LoneTrials(),
            self.clock,
            metrics,
            timeout_max_s=1,
            attempts_max=3,
        )
        return await caller.answer(jobs, Slot(self, len(jobs), len(jobs), was_busy=True), early=self.tell)


class StoppedClock(RedisClock):
    def __init__(self) -> None:
        self.time_ms = 0
        self.step_ms = 0
        super().__init__(lambda: self.time_ms / 1000)

    def now_ms(self) -> int:
        return self.time_ms + self.step_ms


def hurried(count: int) -> list[Job]:
    return [
        make_job(str(place), body=json.dumps([str(place)]).encode(), longest=1, deadline=30_000)
        for place in range(count)
    ]


async def test_innocents_are_answered_when_they_are_computed_and_not_when_the_last_is() -> None:
    cuts = iter([True])
    upstream = Slow(lambda _inputs: next(cuts, False))
    await upstream.finds(hurried(8))

    assert [600 * number for number in range(2, 10)] == [time_ms for time_ms, _ in upstream.told]
    assert [f"w.{place}" for place in range(8)] == [job for _, jobs in upstream.told for job in jobs]


async def test_no_innocent_is_late_after_a_death_with_64_slow_calls() -> None:
    """One by one they would take 38 s of the 30 that they have."""
    cuts = iter([True])
    upstream = Slow(lambda _inputs: next(cuts, False))
    outcomes = await upstream.finds(hurried(64))

    assert [] == [outcome for outcome in outcomes if outcome.is_failure]
    assert upstream.clock.time_ms < 20_000


async def test_the_guilty_one_is_found_in_a_group_and_given_up_alone() -> None:
    upstream = Slow(lambda inputs: "40" in inputs)
    outcomes = await upstream.finds(hurried(64))

    assert ["w.40"] == [outcome.job for outcome in outcomes if outcome.is_failure]
    assert upstream.clock.time_ms < 30_000


class LosesReplies(LoneTrials):
    """The first replies of Redis are lost after it has done what it was asked."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self.owner = ""
        self._lost = lost

    async def begin_trial(self, token: str, _ttl_ms: int) -> bool:
        assert self.owner in ("", token), "waits for its own lock"
        self.owner = token
        self._lose()
        return True

    async def end_trial(self, token: str, linger_ms: int) -> None:
        if self.owner == token:
            self.owner = ""
        self._lose()
        self.lingered_ms.append(linger_ms)

    def _lose(self) -> None:
        self._lost -= 1
        if self._lost >= 0:
            raise QueueUnavailable


async def test_a_turn_that_began_though_its_reply_was_lost_is_used() -> None:
    cuts = iter([True])
    upstream, trials = Mortal(lambda _inputs: next(cuts, False)), LosesReplies(1)

    assert ["200", "200"] == await upstream.answers(texts("ab"), trials)
    assert [["a", "b"], ["a"], ["b"]] == upstream.calls


async def test_a_turn_is_ended_until_that_is_heard() -> None:
    trials, clock = LosesReplies(2), RedisClock()
    await Turn(trials, clock).end(7)

    assert [7] == trials.lingered_ms


async def test_a_turn_of_which_it_is_not_known_whether_it_began_is_ended_when_it_is_given_up() -> None:
    """The others would wait for it as long as a trial may take."""
    cuts = iter([True])
    upstream = Slow(lambda _inputs: next(cuts, False))
    trials = SlowReplies(upstream.clock)
    outcomes = await upstream.finds(hurried(1), trials)

    assert [True] == [outcome.is_failure for outcome in outcomes]
    assert "" == trials.owner


class SlowReplies(LosesReplies):
    """It takes longer than any deadline until it is known that a reply is lost."""

    def __init__(self, clock: "StoppedClock") -> None:
        super().__init__(1)
        self._clock = clock

    async def begin_trial(self, token: str, ttl_ms: int) -> bool:
        self._clock.time_ms += 40_000
        return await super().begin_trial(token, ttl_ms)


async def test_one_whose_time_is_over_does_not_speak_for_those_with_more() -> None:
    cuts = iter([True])
    upstream = Slow(lambda _inputs: next(cuts, False))
    trials = SlowAtFirst(upstream.clock)
    soon = make_job("soon", body=b'["soon"]', longest=1, deadline=3_000)
    outcomes = await upstream.finds([soon, *hurried(2)], trials)

    assert [True, False, False] == [outcome.is_failure for outcome in outcomes]


class SlowAtFirst(LoneTrials):
    """Another batcher tries for four seconds."""

    def __init__(self, clock: "StoppedClock") -> None:
        super().__init__()
        self._clock = clock

    async def begin_trial(self, token: str, ttl_ms: int) -> bool:
        if self._clock.time_ms < 4_000:
            self._clock.time_ms += 2_000
            return False
        return await super().begin_trial(token, ttl_ms)


async def test_a_step_back_of_rediss_clock_does_not_prolong_a_wait() -> None:
    """By the stepped clock its client would still wait for an hour."""
    upstream = Slow(lambda _inputs: True)
    trials = NeverOurs(upstream.clock)
    outcomes = await upstream.finds(hurried(1), trials)

    assert [True] == [outcome.is_failure for outcome in outcomes]
    assert trials.looks < 35


class NeverOurs(LoneTrials):
    """Another batcher's trial has no end; each look takes a second, and Redis's clock stepped back by an hour."""

    def __init__(self, clock: "StoppedClock") -> None:
        super().__init__()
        self.looks = 0
        self._clock = clock

    async def begin_trial(self, _token: str, _ttl_ms: int) -> bool:
        self._clock.time_ms += 1000
        self._clock.step_ms = -3_600_000
        self.looks += 1
        return False


class Turns(LoneTrials):
    """Trials of several calls, one at a time."""

    async def begin_trial(self, token: str, ttl_ms: int) -> bool:
        return not self.has_begun and await super().begin_trial(token, ttl_ms)

    async def is_trying(self) -> bool:
        return self.has_begun


class Beside(Mortal):
    """Dies of a call of two, and while it works on the first trial, of an ordinary call of `deadly`."""

    calls_max = 2

    def __init__(self) -> None:
        super().__init__(lambda inputs: "deadly" in inputs or len(inputs) > 1)
        clock, pool, self._trials = RedisClock(), Pool([self]), Turns()
        clock.sync(0)
        self._caller = Caller(pool, self._trials, clock, Metrics(), timeout_max_s=1, attempts_max=3)
        self._deadly: asyncio.Task[str] | None = None

    async def asked(self, jobs: list[Job]) -> str:
        """Return what the jobs of a call are told."""
        slot = Slot(self, len(jobs), len(jobs), was_busy=True)
        replies = await self._caller.answer(jobs, slot)
        slot.release()
        heads = [json.loads(reply.frame.partition(b"\n")[0]) for reply in replies]
        return " ".join([head.get("fault") or str(head["status"]) for head in heads])

    async def call(self, post: Post, timeout_s: float, asked: AskedRows | None = None) -> Answer:
        inputs = json.loads(post.body)["inputs"]
        if inputs == ["a"] and self._deadly is None:
            self._deadly = asyncio.create_task(self.asked(texts(["deadly"])))
            await wait_until(lambda: ["deadly"] in self.calls)
            raise UpstreamBroken
        return await super().call(post, timeout_s, asked)

    async def deadly(self) -> str:
        """Return what the ordinary call is told."""
        assert self._deadly is not None
        return await self._deadly


async def test_a_trial_that_was_cut_together_with_another_call_blames_nobody() -> None:
    """The upstream may have died of that one."""
    upstream = Beside()

    assert await upstream.asked(texts("ab")) == "200 200"
    assert await upstream.deadly() == "job_poisonous"
