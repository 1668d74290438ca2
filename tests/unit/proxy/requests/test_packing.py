"""Runs of like length: everything once and in order, within every limit, and no more runs than the limits ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.requests.packing import runs

LENGTHS = st.lists(st.integers(0, 300), max_size=60).map(sorted)
INPUTS_MAX = st.integers(1, 12)
PADDING_MAX = st.integers(0, 500)
BUDGETS = st.none() | st.integers(1, 3000)


def fits(run: list[int], inputs_max: int, padding_max: int, budget_max: int | None) -> bool:
    """Whether a run is allowed, by the words of the rule."""
    longest = max(run)
    is_cheap = budget_max is None or (len(run) + 1) * longest <= budget_max
    is_like = sum(longest - length for length in run) <= padding_max
    return len(run) == 1 or (len(run) <= inputs_max and is_like and is_cheap)


@given(LENGTHS, INPUTS_MAX, PADDING_MAX, BUDGETS)
def test_runs_cover_all_once_in_order_within_the_limits_and_end_only_where_they_must(
    lengths: list[int], inputs_max: int, padding_max: int, budget_max: int | None
) -> None:
    cut = runs(lengths, inputs_max=inputs_max, padding_max=padding_max, budget_max=budget_max)

    assert [place for start, stop in cut for place in range(start, stop)] == list(range(len(lengths)))
    for start, stop in cut:
        assert fits(lengths[start:stop], inputs_max, padding_max, budget_max)
        assert stop == len(lengths) or not fits(lengths[start : stop + 1], inputs_max, padding_max, budget_max)


@given(st.integers(0, 300), st.integers(1, 60), INPUTS_MAX, PADDING_MAX, BUDGETS)
def test_equal_lengths_give_the_fewest_runs(
    length: int, count: int, inputs_max: int, padding_max: int, budget_max: int | None
) -> None:
    cut = runs([length] * count, inputs_max=inputs_max, padding_max=padding_max, budget_max=budget_max)

    run_inputs_max = inputs_max
    if budget_max is not None and length:
        run_inputs_max = max(1, min(inputs_max, budget_max // length - 1))
    assert len(cut) == -(-count // run_inputs_max)


@given(LENGTHS, INPUTS_MAX, PADDING_MAX, BUDGETS)
def test_no_cut_has_fewer_runs(lengths: list[int], inputs_max: int, padding_max: int, budget_max: int | None) -> None:
    """Judged by trying every cut."""
    fewest = [0]
    for stop in range(1, len(lengths) + 1):
        starts = (s for s in range(stop) if fits(lengths[s:stop], inputs_max, padding_max, budget_max))
        fewest.append(min(fewest[start] for start in starts) + 1)

    cut = runs(lengths, inputs_max=inputs_max, padding_max=padding_max, budget_max=budget_max)

    assert len(cut) == fewest[-1]


@pytest.mark.parametrize(
    ("lengths", "budget_max", "expected"),
    [
        ([], None, []),
        ([5], None, [(0, 1)]),
        ([500], 10, [(0, 1)]),
        ([1, 1, 1, 1, 1], None, [(0, 4), (4, 5)]),  # four inputs a run
        ([1, 2, 3, 50], None, [(0, 3), (3, 4)]),  # (50-1)+(50-2)+(50-3) is too much padding
        ([10, 10, 10], 40, [(0, 3)]),
        ([10, 10, 10], 39, [(0, 2), (2, 3)]),
    ],
)
def test_a_run_ends_where_a_limit_is(
    lengths: list[int], budget_max: int | None, expected: list[tuple[int, int]]
) -> None:
    assert runs(lengths, inputs_max=4, padding_max=10, budget_max=budget_max) == expected
