"""Whether it pays to let a batch fill before it is claimed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.pace import LINGER_MAX_S, Pace

PATIENT_S = 1.0


def pace_at(inputs_per_claim: int, gap_s: float, claims: int = 200) -> Pace:
    """Return the pace after a steady stream."""
    pace = Pace()
    for number in range(claims):
        pace.note(inputs_per_claim, number * gap_s)
    return pace


def test_a_lone_client_never_waits() -> None:
    assert pace_at(1, 0.001).linger_s(31, PATIENT_S) == 0


def test_nothing_waits_before_anything_came() -> None:
    assert Pace().linger_s(31, PATIENT_S) == 0


def test_under_a_storm_a_batch_may_fill() -> None:
    assert pace_at(20, 0.001).linger_s(20, PATIENT_S) == pytest.approx(0.001, rel=0.05)


def test_the_wait_is_none_where_it_would_be_longer_than_allowed() -> None:
    storm = pace_at(20, 0.001)
    assert storm.linger_s(20, 0.0005) == 0
    assert storm.linger_s(20, 0) == 0


def test_a_batch_that_is_full_does_not_wait() -> None:
    assert pace_at(20, 0.001).linger_s(0, PATIENT_S) == 0
    assert pace_at(20, 0.001).linger_s(-5, PATIENT_S) == 0


def test_a_storm_is_forgotten_at_once() -> None:
    pace = pace_at(20, 0.001)
    pace.note(1, 1.0)
    assert pace.linger_s(31, PATIENT_S) == 0


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 10)), max_size=50), st.integers(-100, 1000))
def test_no_history_makes_anybody_wait_long(claims: list[tuple[int, float]], missing: int) -> None:
    pace, now_s = Pace(), 0.0
    for inputs, gap_s in claims:
        now_s += gap_s
        pace.note(inputs, now_s)
    assert 0 <= pace.linger_s(missing, PATIENT_S) <= LINGER_MAX_S
