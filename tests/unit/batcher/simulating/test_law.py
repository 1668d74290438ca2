"""What a pass takes by its law, and how laws are written."""

from random import Random

import pytest

from autobatch_batcher.simulating.law import LawError, SimulatedLaw, law_of

LENGTHS = (10, 30, 20)


def pass_ms(text: str, *, passes_before: int = 0, begins_s: float = 0.0) -> float:
    return law_of(text).pass_s(LENGTHS, passes_before, begins_s, Random(1)) * 1000


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("padded:fixed_ms=1.5,per_unit_us=10", 1.5 + 0.9),
        ("unpadded:fixed_ms=1.5,per_unit_us=10", 1.5 + 0.6),
        ("padded:fixed_ms=1,per_unit_us=10,knee_units=80", 1 + 0.1),
        ("padded:fixed_ms=1,per_unit_us=10,knee_units=90", 1),
        ("padded:per_unit_us=10,multiple=64", 1.92),
    ],
)
def test_a_pass_takes_what_its_units_cost(text: str, expected_ms: float) -> None:
    assert pytest.approx(expected_ms) == pass_ms(text)


def test_the_first_passes_may_take_longer() -> None:
    text = "padded:fixed_ms=1,slow_passes=2,slow_times=10"
    assert [10, 10, 1] == [pytest.approx(pass_ms(text, passes_before=before)) for before in range(3)]


def test_an_upstream_may_change_in_mid_run() -> None:
    text = "padded:fixed_ms=1,changes_at_s=5,changed_times=3"
    assert [1, 3] == [pytest.approx(pass_ms(text, begins_s=begins_s)) for begins_s in (4.9, 5.0)]


def test_noise_is_a_factor_with_a_median_of_one() -> None:
    law, chance = law_of("padded:fixed_ms=1,noise=0.5"), Random(1)
    taken_s = sorted(law.pass_s(LENGTHS, 0, 0.0, chance) for _ in range(2_001))
    assert pytest.approx(0.001, rel=0.05) == taken_s[1_000]
    assert taken_s[0] < 0.0005
    assert taken_s[-1] > 0.002


def test_every_word_of_a_law_is_read() -> None:
    text = (
        "unpadded:fixed_ms=1,per_unit_us=2,knee_units=3,multiple=4,parallel=5,pass_inputs_max=6,noise=0.7,slow_passes=8,"
        "slow_times=9,changes_at_s=10,changed_times=11,in_flight_inputs_max=12,per_input_us=13,beside_ms=14,per_call_ms=15,cut_units=16,"
        "said_inputs=17,passes_ahead=18,first_inputs=19,cores=20,part_units=21"
    )
    law = SimulatedLaw(
        False, 1.0, 2.0, 3, 4, 5, 6, 0.7, 8, 9.0, 10.0, 11.0, 12, 13.0, 14.0, 15.0, 16, 17, 18, 19, 20, 21
    )
    assert law == law_of(text)


@pytest.mark.parametrize(
    ("words", "sizes"),
    [("", [8, 8, 4]), (",first_inputs=2", [2, 8, 8, 2]), (",first_inputs=3,passes_ahead=1", [3, 3, 8, 6])],
)
def test_a_lone_call_has_smaller_passes_first_where_its_inputs_come_one_after_the_other(
    words: str, sizes: list[int]
) -> None:
    law = law_of(f"padded:fixed_ms=1,pass_inputs_max=8{words}")
    assert sizes == [len(each) for each in law.passes([7] * 20)]
    assert [1] == [len(each) for each in law.passes([7])]


@pytest.mark.parametrize(
    ("lengths", "units", "parts"),
    [
        ((100,) * 9, 900, 1),  # too little for two even parts
        ((100,) * 10, 500, 1),
        ((400, 30, 30, 30), 400, 1),  # unlike lengths: the short ones are the other core's
        ((100, 30, 30, 30), 190, 1),  # a part of any lengths has no less
        ((900, 400, 250), 900, 1),
        ((900, 300, 150, 90), 900, 1),
        ((300, 190, 120, 75), 375, 2),
    ],
)
def test_a_pass_that_is_divided_takes_as_long_as_the_core_that_has_most(
    lengths: tuple[int, ...], units: int, parts: int
) -> None:
    law = law_of("unpadded:fixed_ms=2,per_unit_us=10,cores=2,part_units=500")
    assert pytest.approx(2 * parts + 0.01 * units) == 1000 * law.pass_s(lengths, 0, 0.0, Random(1))
    assert sorted(lengths) == sorted(length for part in law.parts(lengths) for length in part)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("squared:fixed_ms=1", "must begin with padded or unpadded"),
        ("padded", "costs nothing"),
        ("padded:fixed=1", "'fixed': unknown; known are fixed_ms, per_unit_us"),
        ("padded:fixed_ms=fast", "'fixed_ms=fast': must be a number"),
        ("padded:fixed_ms=1,parallel=0", "'parallel=0': must be at least 1"),
        ("padded:fixed_ms=-1", "'fixed_ms=-1': must be at least 0"),
        ("padded:fixed_ms=1,parallel=1.5", "'parallel=1.5': must be a number"),
        ("padded:fixed_ms=nan", "'fixed_ms=nan': must be"),
        ("padded:fixed_ms=inf", "'fixed_ms=inf': must be"),
    ],
)
def test_a_law_that_is_not_understood_says_what_is(text: str, told: str) -> None:
    with pytest.raises(LawError, match=told.replace("(", r"\(")):
        law_of(text)
