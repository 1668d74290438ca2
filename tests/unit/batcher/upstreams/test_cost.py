"""What a call costs is learnt from calls, whatever they were."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.upstreams.tuning import (
    CALLS_MIN,
    FIXED_DEFAULT_S,
    PADDING_DEFAULT,
    PADDING_MAX,
    PADDING_MIN,
    CostModel,
)

FIXED_S = st.floats(1e-4, 0.1)
PER_UNIT_S = st.floats(1e-7, 1e-3)


def taught(fixed_s: float, per_unit_s: float, calls: int = 60, *, seed: int = 1) -> CostModel:
    """Return what calls of varied size taught, each of which cost exactly what it should."""
    model = CostModel()
    teach(model, fixed_s, per_unit_s, calls, seed=seed)
    return model


def teach(model: CostModel, fixed_s: float, per_unit_s: float, calls: int, *, seed: int = 1, noise: float = 0) -> None:
    chance = random.Random(seed)
    for _ in range(calls):
        units = chance.randint(50, 5_000)
        model.note(units, (fixed_s + per_unit_s * units) * (1 + chance.uniform(-noise, noise)))


@given(fixed_s=FIXED_S, per_unit_s=PER_UNIT_S, seed=st.integers(0, 99))
def test_of_exact_calls_of_varied_size_the_price_is_found(fixed_s: float, per_unit_s: float, seed: int) -> None:
    model = taught(fixed_s, per_unit_s, seed=seed)

    assert pytest.approx(fixed_s, rel=1e-3, abs=1e-6) == model.fixed_s
    assert pytest.approx(min(max(fixed_s / per_unit_s, PADDING_MIN), PADDING_MAX), rel=1e-2) == model.padding_max


def test_of_calls_that_vary_by_a_tenth_the_price_is_found_roughly() -> None:
    model = CostModel()

    teach(model, 0.004, 13e-6, 500, noise=0.1)

    assert pytest.approx(0.004 / 13e-6, rel=0.5) == model.padding_max


@given(seconds=st.lists(st.floats(0, 10), max_size=CALLS_MIN - 1), units=st.integers(1, 10_000))
def test_few_calls_teach_nothing(seconds: list[float], units: int) -> None:
    model = CostModel()

    for place, each in enumerate(seconds):
        model.note(units * (place + 1), each)

    assert (FIXED_DEFAULT_S, PADDING_DEFAULT) == (model.fixed_s, model.padding_max)


@given(units=st.integers(1, 100_000), seed=st.integers(0, 99))
def test_calls_of_like_size_teach_nothing_of_the_price_of_size(units: int, seed: int) -> None:
    chance = random.Random(seed)
    model = CostModel()

    for _ in range(100):
        model.note(units * chance.uniform(0.95, 1.05), chance.uniform(0.001, 0.1))

    assert (FIXED_DEFAULT_S, PADDING_DEFAULT) == (model.fixed_s, model.padding_max)


def test_calls_of_like_size_keep_what_was_learnt() -> None:
    model = taught(0.004, 13e-6)
    chance = random.Random(1)

    for _ in range(1_000):
        model.note(2_000 * chance.uniform(0.99, 1.01), chance.uniform(0.01, 0.05))

    assert 0 < model.fixed_s < 0.05
    kept = (model.fixed_s, model.padding_max)
    model.note(2_000, 0.5)
    assert kept == (model.fixed_s, model.padding_max)


@pytest.mark.parametrize("per_unit_s", [0.0, -1e-7])
def test_where_size_costs_nothing_padding_costs_nothing(per_unit_s: float) -> None:
    model = taught(0.01, per_unit_s)

    assert model.padding_max >= PADDING_MAX * 0.99
    assert pytest.approx(0.01, rel=0.05) == model.fixed_s


def test_where_only_size_costs_hardly_any_padding_is_worth_a_call() -> None:
    assert pytest.approx(PADDING_MIN, rel=0.01) == taught(0.0, 1e-5).padding_max


@given(before=st.tuples(FIXED_S, PER_UNIT_S), after=st.tuples(FIXED_S, PER_UNIT_S))
def test_what_the_upstream_was_before_is_forgotten(before: tuple[float, float], after: tuple[float, float]) -> None:
    """The past weighs 0.98 at each call, so of another upstream nothing is left after a thousand."""
    model = taught(*before)

    teach(model, *after, 1_500, seed=2)

    assert pytest.approx(after[0], rel=1e-2, abs=1e-6) == model.fixed_s


@given(st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 1e3)), max_size=60))
def test_whatever_calls_take_the_price_is_within_its_bounds(calls: list[tuple[float, float]]) -> None:
    model = CostModel()

    for units, seconds in calls:
        model.note(units, seconds)
        assert PADDING_MIN <= model.padding_max <= PADDING_MAX
        assert 0 <= model.fixed_s <= max([FIXED_DEFAULT_S, *(each for _, each in calls)]) * (1 + 1e-9)


def test_after_a_hundred_thousand_calls_the_price_is_as_exact() -> None:
    """Sums of squares would have lost it; sums of deviations from the mean do not."""
    model = taught(0.004, 13e-6, 100_000)

    assert pytest.approx(0.004, rel=1e-6) == model.fixed_s
    assert pytest.approx(0.004 / 13e-6, rel=1e-6) == model.padding_max
