"""A job is dropped when no answer could be in time, and never for what calls took once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.forming.expiry import is_too_late
from autobatch_batcher.tuning.recent_calls import NO_CALL_SEEN, CallTime
from tests.unit.builders import make_job

SLOW = CallTime(any_s=1.5, per_unit_s=1.0, fixed_units=0.0)


@pytest.mark.parametrize("least", [NO_CALL_SEEN, SLOW], ids=["unknown", "slow"])
def test_a_job_whose_deadline_has_passed_is_too_late_whatever_calls_take(least: CallTime) -> None:
    assert is_too_late(make_job("a", at=0, deadline=1000), 1000, least)


def test_while_it_is_unknown_what_a_call_takes_no_job_is_too_late_before_its_deadline() -> None:
    assert not is_too_late(make_job("a", at=0, deadline=1000), 999, NO_CALL_SEEN)


def test_a_job_that_has_waited_too_long_for_its_own_call_is_too_late() -> None:
    job = make_job("a", at=0, deadline=10_000, longest=2)

    assert [False, True] == [is_too_late(job, now_ms, SLOW) for now_ms in (8_499, 8_500)]


def test_a_job_is_judged_by_its_own_size() -> None:
    half_a_second = CallTime(any_s=9.0, per_unit_s=0.001, fixed_units=400.0)
    small, large = (
        make_job(name, at=0, deadline=10_000, longest=longest) for name, longest in (("s", 100), ("l", 600))
    )

    assert [False, True] == [is_too_late(job, 9_000, half_a_second) for job in (small, large)]


def test_a_job_is_judged_by_the_size_of_the_call_that_it_will_be_in() -> None:
    job = make_job("a", at=0, deadline=10_000, longest=100)
    alone, full = (CallTime(any_s=9.0, per_unit_s=0.001, fixed_units=0.0, inputs=inputs) for inputs in (1, 8))

    assert [False, True] == [is_too_late(job, 9_500, takes) for takes in (alone, full)]


@given(timeout_ms=st.integers(1, 100_000), waited_share=st.floats(0, 0.5))
def test_no_prediction_drops_a_job_in_the_first_half_of_its_time(timeout_ms: int, waited_share: float) -> None:
    """A deadline below what calls took a moment ago must have its chance, or nothing shows that they are fast again."""
    job = make_job("a", at=0, deadline=timeout_ms, longest=10**6)

    assert not is_too_late(job, int(timeout_ms * waited_share), CallTime(1e6, 1e6, 1e6))
