"""Where calls run beside each other and are as fast as alone, more of them in flight are worth it though no more gets done."""

import pytest

from autobatch_batcher.tuning.climbing import BLOCK_CALLS, FREE_CALLS, FREE_SLOWNESS, Climber, Setting
from autobatch_batcher.tuning.tuner import CALLS_FIRST, CALLS_MAX

UNITS = 1000
ARRIVAL_S = 0.02  # between two calls: as much gets done with any setting


def noted(climber: Climber, calls: int, slowness: float | None = 1.0, side_by_side: int = CALLS_MAX) -> set[Setting]:
    """Return what was used while so many calls were answered, which take `slowness` times as long where more than `side_by_side` are in flight."""
    used = set()
    for _ in range(calls):
        setting = climber.setting
        used.add(setting)
        slower = slowness if slowness is None or setting.calls > side_by_side else 1.0
        climber.note(setting, UNITS, UNITS, ARRIVAL_S, calls=setting.calls, slowness=slower)
    return used


def test_more_calls_that_slow_each_other_not_are_kept_though_no_more_gets_done() -> None:
    climber = Climber(CALLS_MAX, CALLS_FIRST)
    noted(climber, 40 * BLOCK_CALLS)

    assert climber.best.calls == CALLS_MAX


@pytest.mark.parametrize("slowness", [2.0, None])
def test_more_calls_that_slow_each_other_or_may_do_so_are_not(slowness: float | None) -> None:
    climber = Climber(CALLS_MAX, CALLS_FIRST)
    noted(climber, 40 * BLOCK_CALLS, slowness, side_by_side=CALLS_FIRST)

    assert climber.best.calls == CALLS_FIRST


def test_fewer_calls_are_not_tried_where_as_many_as_now_slow_each_other_not() -> None:
    """Clients would only wait longer."""
    climber = Climber(CALLS_FIRST)

    assert min(setting.calls for setting in noted(climber, 40 * BLOCK_CALLS)) == CALLS_FIRST
    assert min(setting.calls for setting in noted(climber, 40 * BLOCK_CALLS, None, side_by_side=0)) < CALLS_FIRST


def test_calls_with_no_more_in_flight_than_before_show_nothing_of_more() -> None:
    climber = Climber(CALLS_MAX, CALLS_FIRST)
    for _ in range(40 * BLOCK_CALLS):
        climber.note(climber.setting, UNITS, UNITS, ARRIVAL_S, calls=CALLS_FIRST, slowness=1.0)

    assert climber.best.calls == CALLS_FIRST


@pytest.mark.parametrize(("slowness", "calls"), [(1.0, 2 * CALLS_FIRST), (2 * FREE_SLOWNESS, CALLS_FIRST)])
def test_an_ascent_that_ends_the_wait_is_kept_where_its_calls_slow_each_other_not(slowness: float, calls: int) -> None:
    """Else the wait would begin anew, and with it the ascent."""
    climber = Climber(CALLS_MAX, CALLS_FIRST)
    climber.note_pressure(is_pressed=True)
    while climber.setting.calls == CALLS_FIRST:
        noted(climber, 1)
    noted(climber, FREE_CALLS, slowness, side_by_side=CALLS_FIRST)

    climber.note_pressure(is_pressed=False)

    assert calls == climber.best.calls
