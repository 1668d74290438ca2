"""Where a backlog begins, calls at once are doubled as long as each step clearly does more, and only then."""

import pytest

from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.clients import SimulatedRequest, TimedArrivals
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.tuning.climbing import BLOCK_CALLS, BLOCK_S, CALM_CALLS, Climber, Setting
from autobatch_batcher.tuning.tuner import CALLS_FIRST, CALLS_MAX, Tuner
from autobatch_shared.settings.definitions import BatcherSettings
from tests.unit.upstream_models import Cost, ModelledUpstream, Run, drive

UNITS = 1000
CALL_S = 0.4
PER_S = 320.0
SLOW_AT_S, SLOW_S = 3.0, 6.0
STEPS = 2  # from CALLS_FIRST to CALLS_MAX


def one_price(_units: int, _calls: int) -> float:
    return CALL_S


def dear_when_many(_units: int, calls: int) -> float:
    return CALL_S * calls


def driven(cost_s: Cost, servers: int, calls: int = 100) -> Run:
    return drive(ModelledUpstream(cost_s, servers), calls, Tuner(None), had_backlog=True)


@pytest.mark.parametrize("call_s", [0.01, 0.4, 2.0])
def test_an_upstream_that_works_side_by_side_is_called_as_often_as_may_be_within_a_few_rounds(call_s: float) -> None:
    """Two of each setting, and those that were in flight before; of short calls as many as take a quarter of a second."""
    run = driven(lambda _units, _calls: call_s, CALLS_MAX, 1000)
    there = [setting.calls for setting in run.settings].index(CALLS_MAX)

    assert run.ended_s[there] <= (STEPS + 1) * max(3 * call_s, 2 * BLOCK_S)


@pytest.mark.parametrize(("cost_s", "servers"), [(one_price, 1), (one_price, 2), (dear_when_many, 8)])
def test_more_calls_that_do_no_more_are_made_for_two_rounds_only(cost_s: Cost, servers: int) -> None:
    run = driven(cost_s, servers)

    # The calls that were made before the last of them was answered count as well.
    assert sum(setting.calls > CALLS_FIRST for setting in run.settings[:60]) <= 4 * 2 * CALLS_FIRST
    assert CALLS_FIRST >= run.settings[50].calls


def noted(climber: Climber, calls: int, *, had_backlog: bool) -> set[int]:
    """Return how many calls at once were made while so many were answered: as fast as calls side by side are."""
    used = set()
    for _ in range(calls):
        used.add(climber.setting.calls)
        climber.note(climber.setting, UNITS, UNITS, CALL_S / climber.setting.calls, had_backlog=had_backlog)
    return used


def test_a_backlog_that_begins_ends_what_is_tried_and_what_lost_without_one_is_tried_again() -> None:
    """While less waits than a call carries more calls do no more, and are left alone for long."""
    climber = Climber(CALLS_MAX, CALLS_FIRST)
    for _ in range(200 * BLOCK_CALLS):
        climber.note(climber.setting, UNITS, UNITS, 0.01)  # each by itself
    calm = climber.best.calls

    noted(climber, 100, had_backlog=True)

    assert calm <= CALLS_FIRST
    assert CALLS_MAX == climber.best.calls


def test_a_step_that_did_no_more_is_not_tried_again_while_the_backlog_lasts() -> None:
    climber, tried = Climber(CALLS_MAX, CALLS_FIRST), 0
    for _ in range(2 * BLOCK_CALLS):
        before = climber.setting.calls
        climber.note(climber.setting, UNITS, UNITS, CALL_S, had_backlog=True)
        tried += before <= CALLS_FIRST < climber.setting.calls

    assert 1 == tried
    assert CALLS_FIRST >= climber.best.calls


def test_without_a_backlog_no_ascent_begins() -> None:
    climber = Climber(CALLS_MAX, CALLS_FIRST)

    assert {CALLS_FIRST} == noted(climber, 5, had_backlog=False)


def test_an_ascent_whose_backlog_ends_is_given_up_and_begins_anew_with_the_next() -> None:
    climber = Climber(CALLS_MAX, CALLS_FIRST)
    while climber.setting.calls == CALLS_FIRST:
        noted(climber, 1, had_backlog=True)
    noted(climber, CALM_CALLS, had_backlog=False)
    given_up = climber.setting

    noted(climber, 100, had_backlog=True)

    assert Setting(CALLS_FIRST) == given_up
    assert CALLS_MAX == climber.best.calls


def test_calls_as_configured_are_all_there_are() -> None:
    assert 3 == max(noted(Climber(3), 100, had_backlog=True))


@pytest.mark.parametrize("batchers", [1, 2])
def test_an_upstream_whose_calls_become_forty_times_as_long_keeps_up_within_two_seconds(batchers: int) -> None:
    """Side by side it does what comes with four calls at once; with two it does half, and half of the requests would wait in vain."""
    asked = [(number / PER_S, SimulatedRequest((33,))) for number in range(int(PER_S * (SLOW_AT_S + SLOW_S)))]
    law = law_of(f"unpadded:fixed_ms=10,parallel=64,changes_at_s={SLOW_AT_S},changed_times=40")
    fleet = SimulatedFleet(BatcherSettings.model_construct(), batchers=batchers)

    answered = run_batchers(law, TimedArrivals(asked), fleet, SLOW_AT_S + SLOW_S + 5).answered
    late = [each for each in answered if each.sent_s > SLOW_AT_S + 2]

    assert len(answered) == len(asked)
    assert max(each.ended_s - each.sent_s for each in answered) < 4 * CALL_S
    assert max(each.ended_s - each.sent_s for each in late) <= 2.5 * CALL_S
