"""Slices: nothing lost, like lengths together, work for every worker."""

from hypothesis import given
from hypothesis import strategies as st

from autobatch_embedder.model.dividing.slices import TOKENS_MAX, TOKENS_SHARE_MIN, cut

Lengths = st.lists(st.integers(0, 512), min_size=1, max_size=100)


@given(Lengths, st.integers(1, 8))
def test_every_text_is_in_one_slice(lengths: list[int], workers: int) -> None:
    slices = cut(lengths, workers)

    assert all(slices)
    assert sorted(place for each in slices for place in each) == list(range(len(lengths)))


@given(Lengths, st.integers(1, 8))
def test_no_slice_of_several_texts_has_more_than_a_full_ones_tokens(lengths: list[int], workers: int) -> None:
    for each in cut(lengths, workers):
        assert len(each) == 1 or sum(lengths[place] for place in each) <= TOKENS_MAX


def test_a_long_text_does_not_widen_the_grid_of_short_ones() -> None:
    assert [[1], [0, 2]] == cut([12, 250, 10], 1)


def test_few_tokens_are_one_pass_of_a_worker_whatever_their_lengths() -> None:
    assert [[1, 2, 0]] == cut([3, 40, 20], 1)


def test_a_call_is_cut_for_all_workers() -> None:
    lengths = [TOKENS_SHARE_MIN // 8] * 16

    assert [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]] == cut(lengths, 2)
    assert len(cut(lengths, 1)) == 1


def test_a_few_short_texts_are_a_pass_for_each_worker() -> None:
    assert [[0, 1], [2, 3]] == cut([20] * 4, 2)
    assert [[0], [1], [2], [3]] == cut([40] * 4, 8)


def test_a_text_or_two_of_a_few_tokens_are_one_pass_however_many_workers_there_are() -> None:
    assert [[0, 1]] == cut([TOKENS_SHARE_MIN // 2] * 2, 8)


def test_equal_texts_make_equal_slices_without_a_small_rest() -> None:
    assert [8, 7] == [len(each) for each in cut([20] * 15, 1)]


def test_equal_texts_make_as_many_slices_for_each_worker() -> None:
    assert [8, 8, 8, 8] == [len(each) for each in cut([17] * 32, 2)]
    assert len(cut([17] * 32, 1)) == 3
