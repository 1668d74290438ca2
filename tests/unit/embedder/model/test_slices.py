"""Slices: nothing lost, like lengths together, work for every worker."""

from hypothesis import given
from hypothesis import strategies as st

from autobatch_embedder.model.slices import TOKENS_MAX, TOKENS_MIN, cut

Lengths = st.lists(st.integers(0, 512), min_size=1, max_size=100)


@given(Lengths, st.integers(1, 8))
def test_every_text_is_in_one_slice(lengths: list[int], workers: int) -> None:
    slices = cut(lengths, workers)

    assert all(slices)
    assert sorted(place for each in slices for place in each) == list(range(len(lengths)))


@given(Lengths, st.integers(1, 8))
def test_no_slice_has_a_text_more_than_it_needs_to_be_full(lengths: list[int], workers: int) -> None:
    for each in cut(lengths, workers):
        assert sum(lengths[place] for place in each[:-1]) < TOKENS_MAX


def test_a_long_text_does_not_widen_the_grid_of_short_ones() -> None:
    assert [[1], [0, 2]] == cut([12, 250, 10], 1)


def test_few_tokens_are_one_pass_whatever_their_lengths() -> None:
    assert [[1, 2, 0]] == cut([3, 40, 20], 2)


def test_a_call_is_cut_for_all_workers() -> None:
    assert [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]] == cut([TOKENS_MIN // 8] * 16, 2)
    assert len(cut([TOKENS_MIN // 8] * 16, 1)) == 1
