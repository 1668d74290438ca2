"""One upstream of two is unavailable: no job fails for that, and the calls that fail are few."""

import asyncio
import json
from collections.abc import Sequence
from math import inf

import pytest

from autobatch_batcher.calling import retries
from autobatch_batcher.calling.attempts import Effort
from autobatch_batcher.calling.blame import suspects
from autobatch_batcher.calling.budget import RETRIES_KEPT_MAX, RETRY_SHARE
from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.calling.outcomes import JobOutcome
from autobatch_batcher.dialects.base import Answer, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.breaker import FAILURES_MAX
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamUnavailable
from autobatch_shared.contract.frames import decode_reply
from autobatch_shared.redis.clock import RedisClock
from tests.unit.builders import make_job
from tests.unit.upstreams import NO_CLIENT, LoneTrials

JSON = "application/json"
ROWS = "rows"
REFUSES, EXCLUDED, HANGS_UP, NO_ROWS = "refuses", "excluded", "hangs up", "no rows"


class Acting(Replica):
    """Does at each call what is next in its list, and the last of it for ever: ROWS, REFUSES, EXCLUDED or a status."""

    def __init__(self, name: str, *does: str | int, calls_max: int = 1) -> None:
        super().__init__(f"http://{name}", NO_CLIENT, [Tei()], configured(100, 10**6), Tuner(calls_max))
        self.is_healthy = True
        self.calls = 0
        self._does = list(does)
        if does == (EXCLUDED,):
            self.doubt(0.0)

    async def ask(self, post: Post, _timeout_s: float) -> Answer:
        is_ours = asks_ours(post)
        self.calls += not is_ours
        does = self._does.pop(0) if len(self._does) > 1 and not is_ours else self._does[0]
        if does == REFUSES:
            self.is_healthy, self.down_since_s = False, asyncio.get_running_loop().time()
            raise UpstreamUnavailable
        if does == HANGS_UP:
            self.is_healthy, self.down_since_s = False, asyncio.get_running_loop().time()
            raise UpstreamBroken
        if does == NO_ROWS:
            return Answer(200, "text/html", b"<html>", None)
        if isinstance(does, int):
            return Answer(does, JSON, b"", None)
        return Answer(200, JSON, json.dumps([[1.0]] * len(json.loads(post.body)["inputs"])).encode(), None)

    async def listens(self) -> bool:
        return self.is_healthy


def asks_ours(post: Post) -> bool:
    """Whether it is a text of the batcher's own."""
    return bool(json.loads(post.body)["inputs"] == [json.loads(Tei().sample)])


class AtThis(Acting):
    """Does so at what it is asked by others, and is well: it answers ours."""

    async def ask(self, post: Post, timeout_s: float) -> Answer:
        answer = await super().ask(post, timeout_s)
        is_ours = asks_ours(post)
        return Answer(200, JSON, b"[[1.0]]", None) if is_ours else answer


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []

    async def at_once(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(retries, "pause", at_once)
    monkeypatch.setattr(suspects, "pause", at_once)
    return waited


async def outcomes(
    *upstreams: Replica,
    calls: int = 1,
    attempts_max: int = 1,
    are_parts: bool = False,
    has_other_batchers: bool = False,
    patience_s: float = 0.0,
) -> list[JobOutcome]:
    """Return what becomes of calls to the first one."""
    clock, pool, metrics = RedisClock(), Pool(list(upstreams), 10.0), Metrics()
    clock.sync(0)
    pool.has_other_batchers = has_other_batchers
    caller = Caller(
        pool, LoneTrials(), clock, metrics, timeout_max_s=1, attempts_max=attempts_max, patience_s=patience_s
    )
    found = []
    for number in range(calls):
        slot = Slot(upstreams[0], 1, 1, was_busy=True)
        jobs = [make_job(str(number), body=b'["a"]', longest=1)]
        found += await caller.answer_with(Effort(attempts_max, is_part=are_parts), jobs, slot)
        slot.release()
    return found


def statuses(told: Sequence[JobOutcome]) -> set[int]:
    return {decode_reply(each.frame)[0].status for each in told}


OUTAGES: list[str | int] = [REFUSES, EXCLUDED, 502, 503, 504, 522, 529]


@pytest.mark.parametrize("does", OUTAGES)
async def test_a_call_that_meets_an_outage_goes_to_another_upstream_and_spends_no_try(does: str | int) -> None:
    away, well = Acting("away", does), Acting("well", ROWS)

    assert {200} == statuses(await outcomes(away, well))


@pytest.mark.parametrize("does", OUTAGES)
async def test_while_the_slots_of_the_other_one_are_full_the_jobs_wait(does: str | int) -> None:
    away, well = Acting("away", does), Acting("well", ROWS)
    Slot(well, 1, 1, was_busy=True)

    (told,) = await outcomes(away, well)

    assert told.may_wait
    assert (away.calls, well.calls) == (0 if does == EXCLUDED else 1, 0)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_call_that_meets_outages_at_two_upstreams_that_serve_others_fails_by_itself(status: int) -> None:
    """Each of them answers so to this call, and to no other."""
    one, other = (AtThis(name, status) for name in ("one", "other"))
    one.served_s = other.served_s = inf

    told = await outcomes(one, other)

    assert [("upstream_unavailable", False)] == [(decode_reply(e.frame)[0].fault, e.may_wait) for e in told]
    assert (1, 1) == (one.calls, other.calls)
    assert one.breaker.is_closed
    assert other.breaker.is_quiet


async def test_one_that_answers_503_to_all_clients_and_takes_a_text_of_ours_is_waited_for() -> None:
    """It sheds load: what is small gets in now and then."""
    (told,) = await outcomes(AtThis("one", 503))

    assert told.may_wait


async def test_what_another_upstream_has_no_room_for_goes_there_all_the_same_if_this_one_is_well() -> None:
    one, full = AtThis("one", 503), Acting("full", ROWS)
    Slot(full, 1, 1, was_busy=True)

    assert {200} == statuses(await outcomes(one, full))


async def test_what_cannot_be_paid_waits_behind_a_pause(pauses: list[float]) -> None:
    """Else calls that one of two answers with 503 would go back and forth without an end."""
    away, well = Acting("away", 503), Acting("well", ROWS)

    told = await outcomes(away, well, calls=100)

    assert statuses([each for each in told if not each.may_wait]) == {200}
    assert any(each.may_wait for each in told)
    assert well.calls <= 100 * RETRY_SHARE + RETRIES_KEPT_MAX + 1
    assert sum(pause_s >= retries.UNPAID_PAUSE_S for pause_s in pauses) == sum(each.may_wait for each in told)


async def test_an_upstream_that_is_well_and_alone_is_tried_as_often_as_it_may() -> None:
    lone = Acting("lone", 503)

    (told,) = await outcomes(lone, attempts_max=3)

    assert 3 == lone.calls
    assert "upstream_unavailable" == decode_reply(told.frame)[0].fault


async def test_a_call_whose_upstream_was_taken_out_after_its_slot_was_taken_waits() -> None:
    """The last of the failures in a row came before its turn."""
    lone = Acting("lone", ROWS)
    for _ in range(FAILURES_MAX):
        lone.breaker.failed(asyncio.get_running_loop().time())

    (told,) = await outcomes(lone)

    assert told.may_wait
    assert 0 == lone.calls


@pytest.mark.parametrize("is_full", [False, True])
async def test_jobs_tried_alone_go_to_an_upstream_that_is_well_with_room_or_without(is_full: bool) -> None:  # noqa: FBT001
    """Usual calls take each slot that becomes free, and they would wait for seconds."""
    cut, well = Acting("cut", HANGS_UP), Acting("well", ROWS)
    if is_full:
        Slot(well, 1, 1, was_busy=True)

    assert {200} == statuses(await outcomes(cut, well))


async def test_jobs_whose_call_was_cut_do_not_wait_here_while_another_batcher_has_an_upstream_that_is_well() -> None:
    (told,) = await outcomes(Acting("cut", HANGS_UP), has_other_batchers=True, patience_s=60.0)

    assert told.may_wait


@pytest.mark.parametrize("does", [424, 500, NO_ROWS])
@pytest.mark.parametrize("are_parts", [False, True])
@pytest.mark.parametrize("is_full", [False, True])
async def test_what_one_upstream_fails_at_is_made_at_the_other_one_before_a_client_hears_of_it(
    does: int | str, *, are_parts: bool, is_full: bool
) -> None:
    """Also without room there, and a last half: its whole may have been called while no other upstream was well."""
    failing, well = Acting("failing", does), Acting("well", ROWS)
    if is_full:
        Slot(well, 1, 1, was_busy=True)

    assert {200} == statuses(await outcomes(failing, well, are_parts=are_parts))
    assert (1, 1) == (failing.calls, well.calls)


async def test_what_the_budget_cannot_pay_goes_to_the_other_one_all_the_same() -> None:
    failing, well = Acting("failing", 500), Acting("well", ROWS)

    assert {200} == statuses(await outcomes(failing, well, calls=100))


@pytest.mark.parametrize("attempts_max", [1, 3])
async def test_what_both_fail_at_costs_no_more_calls_than_its_attempts_and_one_at_the_other(attempts_max: int) -> None:
    """A bad input, as far as can be known."""
    one, other = Acting("one", 500), Acting("other", 500)

    assert {500} == statuses(await outcomes(one, other, attempts_max=attempts_max))
    assert one.calls + other.calls == max(attempts_max, 2)
    assert other.calls


async def test_one_that_has_no_rows_is_taken_out_where_another_one_has_them_also_if_all_ask_for_the_same() -> None:
    odd, well = Acting("odd", NO_ROWS), Acting("well", ROWS)

    assert {200} == statuses(await outcomes(odd, well, calls=FAILURES_MAX))
    assert not odd.breaker.is_closed


async def test_what_both_have_no_rows_for_costs_one_call_at_each_and_takes_none_out() -> None:
    """The input is to blame, as far as can be known."""
    one, other = Acting("one", NO_ROWS), Acting("other", NO_ROWS)

    told = await outcomes(one, other, calls=2 * FAILURES_MAX, attempts_max=3)

    assert {"invalid_answer"} == {decode_reply(each.frame)[0].fault for each in told}
    assert (one.calls, other.calls) == (2 * FAILURES_MAX, 2 * FAILURES_MAX)
    assert one.breaker.is_closed
    assert other.breaker.is_closed
