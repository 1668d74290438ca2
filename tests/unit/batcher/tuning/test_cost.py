"""What a call costs, and by which law, is learnt from calls, whatever they were."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.tuning.cost import (
    CALLS_MIN,
    COUNTED_UNITS,
    ERROR_MIN,
    EVIDENCE,
    EVIDENCE_MAX,
    PADDING_MAX,
    PADDING_MIN,
    SECONDS_MIN,
    WINDOW_CALLS,
    CallCost,
    CostLaw,
    CostModel,
)

FIXED_S = st.floats(1e-4, 0.1)
PER_UNIT_S = st.floats(1e-7, 1e-3)
SEEDS = range(6)


def taught(fixed_s: float, per_unit_s: float, calls: int = 60, *, seed: int = 1) -> CostModel:
    """Return what calls of varied size taught, each of which cost exactly what it should."""
    model = CostModel()
    teach(model, fixed_s, per_unit_s, calls, seed=seed)
    return model


def teach(model: CostModel, fixed_s: float, per_unit_s: float, calls: int, *, seed: int = 1, noise: float = 0) -> None:
    chance = random.Random(seed)
    for _ in range(calls):
        units = chance.randint(50, 5_000)
        model.note(units, units, (fixed_s + per_unit_s * units) * (1 + chance.uniform(-noise, noise)))


def of_texts(
    model: CostModel, seconds: Callable[[list[int]], float], calls: int, *, seed: int, noise: float = 0
) -> None:
    """Teach with calls of up to 32 inputs, whose lengths are log-normal."""
    chance = random.Random(seed)
    for _ in range(calls):
        lengths = [1 + int(chance.lognormvariate(5, 0.9)) for _ in range(chance.randint(1, 32))]
        took_s = seconds(lengths) * chance.lognormvariate(0, noise)
        model.note(len(lengths) * max(lengths), sum(lengths), took_s)


def padded(fixed_s: float, per_unit_s: float, knee: int = 0) -> Callable[[list[int]], float]:
    return lambda lengths: fixed_s + per_unit_s * max(0, len(lengths) * max(lengths) - knee)


def summed(fixed_s: float, per_unit_s: float, knee: int = 0) -> Callable[[list[int]], float]:
    return lambda lengths: fixed_s + per_unit_s * max(0, sum(lengths) - knee)


@given(fixed_s=FIXED_S, per_unit_s=PER_UNIT_S, seed=st.integers(0, 99))
def test_of_exact_calls_of_varied_size_the_price_is_found(fixed_s: float, per_unit_s: float, seed: int) -> None:
    cost = taught(fixed_s, per_unit_s, seed=seed).cost

    assert pytest.approx(fixed_s, rel=1e-3, abs=1e-6) == cost.flat_s
    assert pytest.approx(min(max(fixed_s / per_unit_s, PADDING_MIN), PADDING_MAX), rel=1e-2) == cost.flat_units


def test_of_calls_that_vary_by_a_tenth_the_price_is_found_roughly() -> None:
    model = CostModel()

    teach(model, 0.004, 13e-6, 500, noise=0.1)

    assert pytest.approx(0.004 / 13e-6, rel=0.5) == model.cost.flat_units


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("fixed_s", "per_unit_s"), [(0.004, 13e-6), (0.0015, 55e-6), (0.02, 1.5e-6)])
def test_an_upstream_that_pads_is_never_taken_for_one_that_does_not(
    fixed_s: float, per_unit_s: float, noise: float, seed: int
) -> None:
    model = CostModel()

    for _ in range(20):
        of_texts(model, padded(fixed_s, per_unit_s), 50, seed=seed, noise=noise)
        assert CostLaw.PADDED is model.cost.law


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("fixed_s", "per_unit_s", "noise", "calls"),
    [
        (0.004, 13e-6, 0.0, 32),
        (0.02, 1.5e-6, 0.0, 64),
        (0.004, 13e-6, 0.1, 64),
        (0.004, 13e-6, 0.3, 320),
        (0.02, 1.5e-6, 0.1, 640),
    ],
)
def test_an_upstream_that_does_not_pad_is_found_out(
    fixed_s: float, per_unit_s: float, noise: float, calls: int, seed: int
) -> None:
    model = CostModel()

    of_texts(model, summed(fixed_s, per_unit_s), calls, seed=seed, noise=noise)

    assert CostLaw.SUMMED is model.cost.law
    assert model.evidence > 0
    assert pytest.approx(fixed_s + 8_000 * per_unit_s, rel=0.35) == model.cost.seconds(8_000)


def test_an_upstream_that_begins_to_pad_is_found_out() -> None:
    model = CostModel()
    of_texts(model, summed(0.004, 13e-6), 500, seed=1, noise=0.1)

    of_texts(model, padded(0.004, 13e-6), 2 * WINDOW_CALLS, seed=2, noise=0.1)

    assert CostLaw.PADDED is model.cost.law


@pytest.mark.parametrize("law", [CostLaw.PADDED, CostLaw.SUMMED])
def test_of_inputs_of_equal_length_no_law_is_found_better(law: CostLaw) -> None:
    model = CostModel()
    of_texts(model, {CostLaw.PADDED: padded, CostLaw.SUMMED: summed}[law](0.004, 13e-6), 500, seed=1)

    for inputs in range(1, 500):
        model.note(100 * inputs, 100 * inputs, 0.02 * random.Random(inputs).lognormvariate(0, 0.5))

    assert (law, True) == (model.cost.law, abs(model.evidence) < EVIDENCE)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("law", "made"), [(CostLaw.PADDED, padded), (CostLaw.SUMMED, summed)])
def test_a_knee_is_found(
    law: CostLaw, made: Callable[[float, float, int], Callable[[list[int]], float]], seed: int
) -> None:
    """8 ms up to 3,000 units, and 2 us for each beyond: a GPU that is full from there on."""
    model = CostModel()

    of_texts(model, made(0.008, 2e-6, 3_000), 400, seed=seed, noise=0.02)

    cost = model.cost
    assert law is cost.law
    assert 2_000 < cost.knee_units < 4_500
    assert pytest.approx(0.008, rel=0.15) == cost.seconds(1_500)
    assert pytest.approx(0.016, rel=0.1) == cost.seconds(7_000)


@given(seed=st.integers(0, 999), noise=st.sampled_from([0.0, 0.05, 0.3]))
def test_where_there_is_no_knee_what_is_found_costs_nearly_the_same(seed: int, noise: float) -> None:
    model = CostModel()

    of_texts(model, padded(0.004, 13e-6), 64, seed=seed, noise=noise)

    for units in (500, 2_000, 8_000):
        assert pytest.approx(0.004 + 13e-6 * units, rel=0.05 + 2 * noise) == model.cost.seconds(units)


def test_a_call_that_took_far_too_long_says_little() -> None:
    """As one in twenty that met a pause of the upstream."""
    model, chance = CostModel(), random.Random(1)

    for call in range(300):
        units = chance.randint(50, 5_000)
        model.note(units, units, (0.004 + 13e-6 * units) * (20 if call % 20 == 0 else 1))

    assert pytest.approx(0.004 + 13e-6 * 2_000, rel=0.25) == model.cost.seconds(2_000)


def test_an_upstream_that_is_half_as_fast_is_known_after_a_window_of_calls() -> None:
    model = taught(0.004, 13e-6, 200)

    teach(model, 0.008, 26e-6, 2 * WINDOW_CALLS, seed=2)

    assert pytest.approx((0.008, 26e-6), rel=1e-3) == (model.cost.flat_s, model.cost.per_unit_s)


@given(seconds=st.lists(st.floats(0, 10), max_size=CALLS_MIN - 1), units=st.integers(1, 10_000))
def test_few_calls_teach_nothing(seconds: list[float], units: int) -> None:
    model = CostModel()

    for place, each in enumerate(seconds):
        model.note(units * (place + 1), units, each)

    assert CallCost() == model.cost


@given(units=st.integers(1, 100_000), seed=st.integers(0, 99))
def test_calls_of_like_size_teach_nothing_of_the_price_of_size(units: int, seed: int) -> None:
    chance = random.Random(seed)
    model = CostModel()

    for _ in range(100):
        size = round(units * chance.uniform(0.95, 1.05))
        model.note(size, size, chance.uniform(0.001, 0.1))

    assert CallCost() == model.cost


def test_calls_of_like_size_keep_what_was_learnt() -> None:
    model = taught(0.004, 13e-6)
    chance = random.Random(1)

    for _ in range(1_000):
        size = round(2_000 * chance.uniform(0.99, 1.01))
        model.note(size, size, chance.uniform(0.01, 0.05))

    assert 0 < model.cost.flat_s < 0.05
    kept = model.cost
    for _ in range(CALLS_MIN):
        model.note(2_000, 2_000, 0.5)
    assert kept == model.cost


@pytest.mark.parametrize("per_unit_s", [0.0, -1e-7])
def test_where_size_costs_nothing_it_costs_nothing_up_to_the_largest_call(per_unit_s: float) -> None:
    cost = taught(0.01, per_unit_s).cost

    assert cost.per_unit_s < 1e-12
    assert 4_500 < max(cost.knee_units, cost.flat_units)
    assert pytest.approx(0.01, rel=0.05) == cost.flat_s


def test_where_only_size_costs_hardly_any_padding_is_worth_a_call() -> None:
    assert pytest.approx(PADDING_MIN, rel=0.01) == taught(0.0, 1e-5).cost.flat_units


@given(before=st.tuples(FIXED_S, PER_UNIT_S), after=st.tuples(FIXED_S, PER_UNIT_S))
def test_what_the_upstream_was_before_is_forgotten(before: tuple[float, float], after: tuple[float, float]) -> None:
    model = taught(*before)

    teach(model, *after, 4 * WINDOW_CALLS, seed=2)

    assert pytest.approx(after[0], rel=1e-2, abs=1e-6) == model.cost.flat_s


@given(st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 1), st.floats(0, 1e3)), max_size=80))
def test_whatever_calls_take_the_price_is_within_its_bounds(calls: list[tuple[int, float, float]]) -> None:
    model = CostModel()

    for units, share, seconds in calls:
        model.note(units, round(units * share), seconds)
        cost = model.cost
        assert PADDING_MIN <= cost.flat_units <= PADDING_MAX
        assert 0 <= cost.flat_s <= max([CallCost().flat_s, *(each for _, _, each in calls)]) * (1 + 1e-6)
        assert cost.per_unit_s >= 0
        assert cost.knee_units >= 0
        assert model.missed > 0
        assert model.evidence <= EVIDENCE_MAX


@pytest.mark.simulated
@given(share=st.floats(0.5, 1), seconds=st.floats(1e-3, 10), seed=st.integers(0, 99))
def test_calls_that_took_no_time_at_all_do_not_make_all_calls_free(share: float, seconds: float, seed: int) -> None:
    """By a clock of a millisecond all but the first of those that end together took none; a price that halves at each fit overflows."""
    model, chance = CostModel(), random.Random(seed)

    for _ in range(3_000):
        units = chance.randint(50, 5_000)
        model.note(units, units, 0.0 if chance.random() < share else seconds)

    assert model.cost.seconds(5_000) >= SECONDS_MIN / 2


def test_laws_that_are_wrong_by_less_than_calls_vary_are_equal() -> None:
    """One input in a hundred is padded by a hundredth: that decides nothing, however exact calls are."""
    model = CostModel()
    chance = random.Random(1)

    for _ in range(2_000):
        units = chance.randint(1_000, 5_000)
        model.note(units, round(units * (1 - ERROR_MIN / 10 * chance.random())), 0.004 + 13e-6 * units)

    assert abs(model.evidence) < EVIDENCE


def counted(model: CostModel, longest: int, calls: int, *, multiple: int) -> None:
    """Let calls be made of inputs that are padded to a multiple of so many units; short and long ones are as usual."""
    chance = random.Random(calls)
    for _ in range(calls):
        most = round(15 * (longest / 15) ** chance.random())
        lengths = [chance.randint(15, most) for _ in range(chance.randint(1, 16))]
        computed = len(lengths) * math.ceil(max(lengths) / multiple) * multiple
        model.note(len(lengths) * max(lengths), sum(lengths), 0.001 + 8e-6 * computed, inputs=len(lengths))


def test_an_upstream_that_computes_all_inputs_alike_is_found_out_by_lengths_that_are_far_apart() -> None:
    model = CostModel()
    counted(model, 1500, 2 * WINDOW_CALLS, multiple=2000)

    assert CostLaw.COUNTED is model.cost.law
    assert pytest.approx(8e-6 * 2000) == model.cost.per_unit_s * COUNTED_UNITS
    assert pytest.approx(0.001) == model.cost.flat_s


def test_short_texts_that_are_all_padded_to_the_same_length_do_not_show_that_lengths_cost_nothing() -> None:
    model = CostModel()
    counted(model, 60, 4 * WINDOW_CALLS, multiple=256)

    assert CostLaw.COUNTED is not model.cost.law


def test_that_lengths_cost_nothing_is_given_up_where_they_do() -> None:
    model = CostModel()
    counted(model, 1500, 2 * WINDOW_CALLS, multiple=2000)
    counted(model, 1500, 2 * WINDOW_CALLS, multiple=1)

    assert CostLaw.PADDED is model.cost.law
