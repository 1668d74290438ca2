import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.tuning.cost import CostLaw, CostModel
from autobatch_batcher.tuning.padding import are_mixed, padded_length


def squares_of(lengths: list[int]) -> int:
    return sum(length * length for length in lengths)


@given(lengths=st.lists(st.integers(0, 300), min_size=1, max_size=20))
def test_it_is_between_the_mean_and_the_longest(lengths: list[int]) -> None:
    padded = padded_length(len(lengths), max(lengths), sum(lengths), squares_of(lengths))

    assert sum(lengths) / len(lengths) - 1e-9 <= padded <= max(lengths) + 1e-9


def test_a_query_beside_a_passage_is_padded_to_its_length() -> None:
    sizes = 2, 1_500, 1_530, 1_500**2 + 30**2

    assert padded_length(*sizes) == pytest.approx(1_500, rel=0.01)
    assert are_mixed(*sizes)


def test_texts_of_one_length_are_not_mixed() -> None:
    assert not are_mixed(8, 100, 800, 80_000)


@pytest.mark.parametrize("seed", range(10))
def test_calls_of_texts_of_equally_many_words_say_nothing_of_the_law(seed: int) -> None:
    """An upstream that pads, by tokens, before texts of twelve words."""
    chance, model = random.Random(seed), CostModel()
    for _ in range(1_000):
        lengths = [round(sum(chance.gauss(6.2, 2.6) for _ in range(12))) for _ in range(chance.randint(1, 32))]
        inputs, longest, useful = len(lengths), max(lengths), sum(lengths)
        took_s = (0.002 + 0.001 * inputs) * chance.lognormvariate(0, 0.15)
        model.note(inputs * longest, useful, took_s, is_mixed=are_mixed(inputs, longest, useful, squares_of(lengths)))

        assert model.cost.law is CostLaw.PADDED
