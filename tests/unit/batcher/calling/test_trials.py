"""Suspects are tried alone while there is time for that, and together where there is not."""

from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autobatch_batcher.calling.blame.trials import TIME_SHARE, inputs_at_once, split_off, suspects_at_once

TIMES_MS = st.floats(1, 10_000)


def test_quick_trials_are_of_one_input() -> None:
    assert 1 == inputs_at_once([30_000.0] * 64, 10.0)
    assert 1 == inputs_at_once([30_000.0] * 64, 0.0)


def test_slow_ones_are_of_as_many_as_it_takes() -> None:
    """64 trials of 0.6 s are 38 s, and deadlines are 30."""
    assert 6 == inputs_at_once([29_000.0] * 64, 600.0)


@pytest.mark.parametrize(
    ("left", "trial_ms", "at_once"), [(64, 10, 1), (64, 400, 6), (10, 400, 6), (10, 10, 1), (9, 7000, 64)]
)
def test_all_of_a_call_are_tried_within_seconds(left: int, trial_ms: float, at_once: int) -> None:
    """So many in the end as in the beginning: else the last ones would be tried alone."""
    assert at_once == inputs_at_once([300_000.0] * left, trial_ms, 64)


@given(st.lists(TIMES_MS, min_size=1, max_size=100), TIMES_MS)
def test_each_input_that_can_be_in_time_is(lefts_ms: list[float], trial_ms: float) -> None:
    at_once = inputs_at_once(lefts_ms, trial_ms)
    for place, left_ms in enumerate(lefts_ms, start=1):
        if left_ms * TIME_SHARE >= trial_ms:
            assert ceil(place / at_once) * trial_ms <= left_ms * TIME_SHARE + trial_ms


@given(st.lists(TIMES_MS, min_size=1, max_size=100), TIMES_MS)
def test_an_input_whose_time_is_over_hurries_nobody(lefts_ms: list[float], trial_ms: float) -> None:
    assume(max(lefts_ms) * TIME_SHARE < trial_ms)

    assert 1 == inputs_at_once(lefts_ms, trial_ms)


@pytest.mark.parametrize(
    ("count", "left_ms", "call_ms", "at_once"),
    [(4, 28_000, 1500, 1), (80, 28_000, 1500, 18), (80, 28_000, 10, 1), (80, 28_000, 0, 1), (80, 3000, 1500, 80)],
)
def test_jobs_that_batchers_died_with_share_a_call_only_where_there_is_no_time(
    count: int, left_ms: float, call_ms: float, at_once: int
) -> None:
    assert at_once == suspects_at_once(count, left_ms, call_ms)


@given(st.lists(st.integers()), st.integers(1, 9))
def test_nothing_is_lost_when_a_group_is_split(group: list[int], count: int) -> None:
    first, rest = split_off(group, count)

    assert group == first + rest
    assert len(first) <= count
