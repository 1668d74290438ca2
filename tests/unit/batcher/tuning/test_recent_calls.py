"""How long a call takes at least and at most: by its size, from the last calls, and only for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.tuning.recent_calls import (
    FRESH_S,
    LATE_CALLS_MIN,
    LATE_MIN_S,
    LATE_TIMES,
    NO_CALL_SEEN,
    RECENT_CALLS_MAX,
    RecentCalls,
)

FIXED_UNITS = 100.0
PER_UNIT_S = 0.001


def cost_s(units: int) -> float:
    return (FIXED_UNITS + units) * PER_UNIT_S


def recent(*calls: tuple[int, float], now_s: float = 0.0) -> RecentCalls:
    made = RecentCalls()
    for units, seconds in calls:
        made.note(units, seconds, now_s, FIXED_UNITS)
    return made


def test_before_any_call_nothing_is_known() -> None:
    assert NO_CALL_SEEN == RecentCalls().least(0.0)
    assert 0.0 == NO_CALL_SEEN.ms(10**6)


def test_a_small_call_takes_less_than_the_large_ones_that_were_seen() -> None:
    """Or a job of one short text is dropped because full batches take long."""
    least = recent(*[(900, cost_s(900))] * RECENT_CALLS_MAX).least(0.0)

    assert pytest.approx([1000 * cost_s(0), 1000 * cost_s(400)]) == [least.ms(0), least.ms(400)]


def test_a_larger_call_than_any_that_was_seen_is_not_assumed_to_take_longer() -> None:
    assert pytest.approx(1000 * cost_s(900)) == recent((900, cost_s(900))).least(0.0).ms(90_000)


def test_one_fast_call_says_that_calls_may_be_fast() -> None:
    assert pytest.approx(1.0) == recent(*[(100, 1.5)] * RECENT_CALLS_MAX, (100, 0.001)).least(0.0).ms(100)


def test_an_upstream_that_was_not_called_lately_is_not_known() -> None:
    calls = recent((100, 1.5), now_s=50.0)

    assert [1500.0, 0.0] == [calls.least(now_s).ms(100) for now_s in (50.0 + FRESH_S, 50.1 + FRESH_S)]


def test_a_call_of_long_ago_says_nothing_beside_new_ones() -> None:
    calls = recent((100, 0.001), now_s=0.0)
    calls.note(100, 2.0, 2 * FRESH_S, FIXED_UNITS)

    assert pytest.approx(2000) == calls.least(2 * FRESH_S).ms(100)


def test_only_the_last_calls_count() -> None:
    assert pytest.approx(2000) == recent((100, 0.001), *[(100, 2.0)] * RECENT_CALLS_MAX).least(0.0).ms(100)


@given(
    calls=st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0001, 10)), min_size=1, max_size=40),
    units=st.integers(0, 20_000),
)
def test_the_estimate_is_no_more_than_any_recent_call_of_that_size_took(
    calls: list[tuple[int, float]], units: int
) -> None:
    least = recent(*calls).least(0.0)

    assert least.ms(units) <= 1000 * min(seconds for _, seconds in calls[-RECENT_CALLS_MAX:]) + 1e-9
    for size, seconds in calls[-RECENT_CALLS_MAX:]:
        assert least.ms(size) <= 1000 * seconds * (1 + 1e-9)


@given(
    calls=st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0001, 10)), min_size=1, max_size=40),
    units=st.integers(0, 20_000),
)
def test_at_most_a_call_takes_no_less_than_any_recent_call_no_larger_and_no_more_than_the_slowest(
    calls: list[tuple[int, float]], units: int
) -> None:
    most = recent(*calls).most(0.0, inputs=1)

    assert most.ms(units) <= 1000 * max(seconds for _, seconds in calls[-RECENT_CALLS_MAX:]) + 1e-9
    for size, seconds in calls[-RECENT_CALLS_MAX:]:
        if size <= units:
            assert most.ms(units) >= 1000 * seconds * (1 - 1e-9)


def test_at_most_a_job_takes_what_a_call_full_of_its_like_takes() -> None:
    calls = recent(*[(900, cost_s(900))] * RECENT_CALLS_MAX)

    most = calls.most(0.0, inputs=8)
    assert pytest.approx([cost_s(8 * 50), cost_s(16 * 50)]) == [most.of_job_ms(n, 50) / 1000 for n in (1, 16)]
    assert pytest.approx(cost_s(50)) == calls.least(0.0).of_job_ms(1, 50) / 1000


def test_a_call_that_its_deadline_ended_raises_what_one_takes_at_most_and_nothing_else() -> None:
    """Or jobs that have as little time left would be sent in vain for ever."""
    calls = recent(*[(100, 0.1)] * RECENT_CALLS_MAX)
    before = calls.least(0.0), calls.late_after_s(100)
    calls.note_made(100, 0.5, 0.0, FIXED_UNITS)

    assert pytest.approx(500) == calls.most(0.0, inputs=1).ms(100)
    assert before == (calls.least(0.0), calls.late_after_s(100))


def test_calls_that_are_fast_again_lower_what_one_takes_at_most() -> None:
    calls = recent((100, 1.5), *[(100, 0.1)] * RECENT_CALLS_MAX)

    assert pytest.approx(100) == calls.most(0.0, inputs=1).ms(100)


def test_at_most_nothing_is_known_of_an_upstream_that_was_not_called_lately() -> None:
    calls = recent((100, 1.5), now_s=50.0)

    assert [1500.0, 0.0] == [calls.most(now_s, inputs=1).ms(100) for now_s in (50.0 + FRESH_S, 50.1 + FRESH_S)]


def test_a_call_is_late_after_three_times_what_the_slowest_took_for_its_size() -> None:
    calls = recent(*[(900, cost_s(900))] * RECENT_CALLS_MAX)

    assert pytest.approx(LATE_TIMES * cost_s(900)) == calls.late_after_s(900)
    assert pytest.approx(LATE_TIMES * cost_s(9_000)) == calls.late_after_s(9_000)


def test_no_call_is_late_within_a_pause_of_a_process() -> None:
    assert LATE_MIN_S == recent(*[(100, 0.001)] * RECENT_CALLS_MAX).late_after_s(100)


def test_before_a_few_calls_and_of_unknown_lengths_none_is_late() -> None:
    few = recent(*[(100, 0.1)] * (LATE_CALLS_MIN - 1))
    enough = recent(*[(100, 0.1)] * LATE_CALLS_MIN)

    assert [None, None] == [few.late_after_s(100), enough.late_after_s(0)]
    assert enough.late_after_s(100) is not None
