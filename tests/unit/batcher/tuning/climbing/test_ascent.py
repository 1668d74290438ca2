"""Where jobs begin to wait for long, calls at once are doubled as long as each step clearly does more, and only then."""

import pytest

from autobatch_batcher.simulating import batchers
from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.clients import SimulatedRequest, TimedArrivals
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.tuning.climbing import BLOCK_CALLS, BLOCK_S, REST_CALLS, Climber
from autobatch_batcher.tuning.tuner import CALLS_FIRST, PRESSING_WAIT_CALLS, PRESSING_WAIT_SHARE, Tuner
from autobatch_shared.settings.definitions import BatcherSettings
from tests.unit.upstream_models import Cost, ModelledUpstream, Run, drive

UNITS = 1000
CALL_S = 0.4
PER_S, DEADLINE_MS = 320.0, 5_000
SLOW_AT_S, SLOW_S = 3.0, 6.0
MANY = 8
STEPS = 2  # from CALLS_FIRST to MANY


def one_price(_units: int, _calls: int) -> float:
    return CALL_S


def dear_when_many(_units: int, calls: int) -> float:
    return CALL_S * calls


def driven(cost_s: Cost, servers: int, calls: int = 100) -> Run:
    return drive(ModelledUpstream(cost_s, servers), calls, Tuner(None), waited_share=PRESSING_WAIT_SHARE)


@pytest.mark.parametrize("call_s", [0.01, 0.4, 2.0])
def test_an_upstream_that_works_side_by_side_is_called_as_often_as_may_be_within_a_few_rounds(call_s: float) -> None:
    """Two of each setting, and those that were in flight before; of short calls as many as take a quarter of a second."""
    run = driven(lambda _units, _calls: call_s, MANY, 1000)
    there = [setting.calls for setting in run.settings].index(MANY)

    assert run.ended_s[there] <= (STEPS + 1) * max(3 * call_s, 2 * BLOCK_S)


@pytest.mark.parametrize(("cost_s", "servers"), [(one_price, 1), (one_price, 2), (dear_when_many, 8)])
def test_more_calls_that_do_no_more_are_made_for_two_rounds_only(cost_s: Cost, servers: int) -> None:
    run = driven(cost_s, servers)

    # The calls that were made before the last of them was answered count as well.
    assert sum(setting.calls > CALLS_FIRST for setting in run.settings[:30]) <= 4 * 2 * CALLS_FIRST
    assert CALLS_FIRST >= run.settings[24].calls


def noted(climber: Climber, calls: int) -> set[int]:
    """Return how many calls at once were made while so many were answered: as fast as calls side by side are."""
    used = set()
    for _ in range(calls):
        used.add(climber.setting.calls)
        climber.note(climber.setting, UNITS, UNITS, CALL_S / climber.setting.calls)
    return used


def pressed() -> Climber:
    climber = Climber(MANY, CALLS_FIRST)
    climber.note_pressure(is_pressed=True)
    return climber


def test_jobs_that_begin_to_wait_end_what_is_tried_and_what_lost_before_is_tried_again() -> None:
    """While nothing waits for long more calls do no more, and are left alone for long."""
    climber = Climber(MANY, CALLS_FIRST)
    for _ in range(200 * BLOCK_CALLS):
        climber.note(climber.setting, UNITS, UNITS, 0.01)  # each by itself
    calm = climber.best.calls

    climber.note_pressure(is_pressed=True)
    noted(climber, 100)

    assert calm <= CALLS_FIRST
    assert MANY == climber.best.calls


def test_an_ascent_in_vain_is_not_repeated_soon() -> None:
    climber, tried = pressed(), 0
    for _ in range(2 * REST_CALLS):
        before = climber.setting.calls
        climber.note(climber.setting, UNITS, UNITS, CALL_S)
        tried += before <= CALLS_FIRST < climber.setting.calls

    assert tried <= 2  # once by the ascent, and once by the climb
    assert CALLS_FIRST >= climber.best.calls


@pytest.mark.parametrize(("servers", "tried"), [(1, {CALLS_FIRST}), (MANY, {MANY, 2 * MANY})])
def test_a_wait_of_some_calls_is_long_where_calls_run_side_by_side(servers: int, tried: set[int]) -> None:
    """Whatever share of its time that is: more calls do more, and what piles up meanwhile is worked off for long."""
    tuner, upstream = Tuner(None), ModelledUpstream(lambda units, _: 0.02 + 1e-5 * units, servers)
    drive(upstream, 60, tuner)

    run = drive(upstream, 100, tuner, began_s=100.0, waited_calls=PRESSING_WAIT_CALLS)

    assert max(setting.calls for setting in run.settings[:40]) in tried


def test_jobs_that_wait_because_fewer_calls_are_tried_begin_no_ascent() -> None:
    climber = Climber(MANY, CALLS_FIRST)
    while not climber.is_trying:
        climber.note(climber.setting, UNITS, UNITS, CALL_S)
    assert CALLS_FIRST > climber.setting.calls

    climber.note_pressure(is_pressed=True)

    assert MANY > max(noted(climber, 2))


def test_while_nothing_waits_for_long_no_ascent_begins() -> None:
    assert {CALLS_FIRST} == noted(Climber(MANY, CALLS_FIRST), 5)


def test_an_ascent_is_given_up_where_nothing_waits_for_long_any_more_and_begins_anew_where_it_does() -> None:
    climber = pressed()
    while climber.setting.calls == CALLS_FIRST:
        noted(climber, 1)
    climber.note_pressure(is_pressed=False)
    given_up = climber.setting.calls

    climber.note_pressure(is_pressed=True)
    noted(climber, 2 * REST_CALLS + 100)

    assert CALLS_FIRST == given_up
    assert MANY == climber.best.calls


def test_ascents_that_the_end_of_the_wait_interrupts_are_not_in_vain() -> None:
    """It may be what ended the wait; counted as in vain they left one that was needed for ten seconds."""
    climber = pressed()
    for _ in range(6):
        while climber.setting.calls == CALLS_FIRST:
            noted(climber, 1)
        climber.note_pressure(is_pressed=False)
        climber.note_pressure(is_pressed=True)

    noted(climber, REST_CALLS + 2 * (2 * CALLS_FIRST + MANY + MANY))

    assert MANY == climber.best.calls


def test_what_was_in_vain_at_a_fast_upstream_is_tried_at_once_where_it_becomes_slow() -> None:
    """While its calls are quick a rest of some hundred of them is short; of calls of 0.4 s it is a minute."""
    tuner = Tuner(None)
    fast = drive(ModelledUpstream(lambda _units, _calls: 0.01), 600, tuner, waited_share=PRESSING_WAIT_SHARE)
    slow = ModelledUpstream(one_price, MANY)

    run = drive(slow, 60, tuner, began_s=fast.ended_s[-1], waited_share=PRESSING_WAIT_SHARE)

    assert CALLS_FIRST >= fast.settings[-1].calls
    assert max(setting.calls for setting in run.settings) in {MANY, 2 * MANY}


def test_calls_as_configured_are_all_there_are() -> None:
    climber = Climber(3)
    climber.note_pressure(is_pressed=True)

    assert 3 == max(noted(climber, 100))


@pytest.mark.parametrize("count", [1, 2])
def test_an_upstream_whose_calls_become_forty_times_as_long_keeps_up_within_three_seconds(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side it does what comes with four calls at once; with two it does half, and half of the requests wait in vain."""
    monkeypatch.setattr(batchers, "DEADLINE_MS", DEADLINE_MS)
    asked = [(number / PER_S, SimulatedRequest((33,))) for number in range(int(PER_S * (SLOW_AT_S + SLOW_S)))]
    law = law_of(f"unpadded:fixed_ms=10,parallel=64,changes_at_s={SLOW_AT_S},changed_times=40")
    fleet = SimulatedFleet(BatcherSettings.model_construct(), batchers=count)

    answered = run_batchers(law, TimedArrivals(asked), fleet, SLOW_AT_S + SLOW_S + 5).answered
    late = [each for each in answered if each.sent_s > SLOW_AT_S + 3]

    assert len(answered) == len(asked)
    assert max(each.ended_s - each.sent_s for each in answered) < 4 * CALL_S
    assert max(each.ended_s - each.sent_s for each in late) <= 2.5 * CALL_S
