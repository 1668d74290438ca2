"""Extra calls are a share of the usual ones, whatever the moment at which they are asked for."""

from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.calling.budget import KEPT_FOR_HALVES, RETRIES_KEPT_MAX, RETRIES_PER_S, RETRY_SHARE, retry_budget


def test_a_quiet_system_can_retry() -> None:
    """One bad input among 32 costs two retries and ten halves."""
    budget = retry_budget()

    assert budget.take(2, 0.0, leaving=KEPT_FOR_HALVES)
    assert all(budget.take(2, 0.0) for _ in range(5))


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 2)), max_size=60))
def test_there_are_never_more_than_the_share_beside_what_was_kept(seconds: list[tuple[int, float]]) -> None:
    budget, usual, extra, now_s = retry_budget(), 0, 0, 0.0
    budget.take(0, now_s)
    for calls, passed_s in seconds:
        budget.usual_calls += calls
        usual += calls
        now_s += passed_s
        while budget.take(1, now_s):
            extra += 1
    assert extra <= RETRIES_KEPT_MAX + RETRY_SHARE * usual + RETRIES_PER_S * now_s + 1e-6


def test_what_is_too_much_takes_nothing() -> None:
    budget = retry_budget()

    assert not budget.take(21, 0.0)
    assert not budget.take(11, 0.0, leaving=10)
    assert budget.take(20, 0.0)
    assert not budget.take(1, 0.0)


def test_what_did_good_costs_nothing() -> None:
    budget = retry_budget()
    for _ in range(100):
        assert budget.take(2, 0.0)
        budget.give_back(2)
