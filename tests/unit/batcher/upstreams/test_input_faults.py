from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.upstreams.input_faults import InputFaults


def test_where_none_fails_a_call_may_have_any_number_of_jobs() -> None:
    faults = InputFaults()
    faults.answered(1000)
    assert faults.jobs_max is None


def test_where_most_fail_each_is_called_alone() -> None:
    faults = InputFaults()
    for _ in range(16):
        faults.failed()
    assert faults.jobs_max == 1


def test_one_among_many_changes_little_and_is_forgotten() -> None:
    faults = InputFaults()
    faults.answered(100)
    faults.failed()
    assert faults.jobs_max == 11
    faults.answered(100)
    assert faults.jobs_max is None


@given(st.lists(st.booleans(), max_size=200))
def test_one_more_that_fails_never_makes_calls_larger(outcomes: list[bool]) -> None:
    faults = InputFaults()
    for is_good in outcomes:
        if is_good:
            faults.answered(1)
        else:
            faults.failed()
    before = faults.jobs_max
    faults.failed()
    after = faults.jobs_max
    assert after is not None
    assert after >= 1
    assert before is None or after <= before
