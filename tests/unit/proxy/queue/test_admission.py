"""Who is refused at the door, and when they are told to come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.queue.admission import (
    LOOK_EVERY_S,
    RETRY_AFTER_MAX_S,
    Backlog,
    is_in_time,
    rate_of_looks,
    retry_after_s,
)
from autobatch_shared.contract.status import Ahead


def backlog(usual: int = 0, bulk: int = 0, claimed: int = 0, at_s: float = 100.0) -> Backlog:
    made = Backlog()
    made.note(Ahead(usual, bulk, claimed), at_s)
    return made


def test_nobody_waits_where_nobody_measured_a_rate() -> None:
    assert backlog(usual=10_000).wait_s(0.0, 100.0, is_bulk=False) == 0.0


def test_the_wait_is_what_is_ahead_over_the_rate() -> None:
    assert backlog(usual=300, claimed=100).wait_s(200.0, 100.0, is_bulk=False) == 2.0


def test_bulk_work_waits_behind_all_and_slows_the_others_by_its_share() -> None:
    both = backlog(usual=300, bulk=300)
    assert both.wait_s(100.0, 100.0, is_bulk=True) == 6.0
    assert both.wait_s(100.0, 100.0, is_bulk=False) == 4.0


def test_what_is_ahead_shrinks_until_the_next_look() -> None:
    waiting = backlog(usual=300)
    assert [waiting.wait_s(100.0, 100.0 + passed_s, is_bulk=False) for passed_s in (0, 1, 2.5, 9)] == [3, 2, 0.5, 0]


def test_a_look_is_old_after_a_while() -> None:
    assert not backlog().is_old(100.0)
    assert backlog().is_old(100.0 + 2 * LOOK_EVERY_S)


@pytest.mark.parametrize(
    ("before", "now", "rate"), [(0.0, 3.0, 3.0), (3.0, 0.0, 0.0), (3.0, 300.0, 300.0), (300.0, 3.0, 300.0)]
)
def test_of_two_looks_the_larger_rate_counts_and_none_while_it_is_unknown(
    before: float, now: float, rate: float
) -> None:
    assert rate == rate_of_looks(before, now)


@pytest.mark.parametrize(
    ("timeout_s", "longest_s"),
    [(0.1, 0.05), (1.0, 0.5), (1.5, 0.75), (2.5, 1.75), (10.0, 8.0), (30.0, 24.0), (225.0, 180.0), (600.0, 555.0)],
)
def test_a_part_of_a_requests_time_is_kept_for_its_call(timeout_s: float, longest_s: float) -> None:
    assert is_in_time(longest_s - 0.001, timeout_s)
    assert not is_in_time(longest_s + 0.001, timeout_s)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_when_to_come_back_is_later_for_who_would_wait_longer(one_s: float, other_s: float) -> None:
    shorter, longer = sorted((one_s, other_s))
    assert 1 <= retry_after_s(shorter) <= retry_after_s(longer) <= RETRY_AFTER_MAX_S


@given(st.floats(0.5, RETRY_AFTER_MAX_S - 1))
def test_who_comes_back_then_finds_what_waited_gone(wait_s: float) -> None:
    assert wait_s <= retry_after_s(wait_s) < wait_s + 1 or retry_after_s(wait_s) == 1


def test_what_a_minutes_budget_still_allows_does_not_wait() -> None:
    waiting = backlog(usual=300)
    assert waiting.wait_s(100.0, 100.0, is_bulk=False, affordable_inputs=200) == 1.0
    assert waiting.wait_s(100.0, 100.0, is_bulk=False, affordable_inputs=400) == 0.0
