"""The pauses before a part is started again."""

from hypothesis import given
from hypothesis import strategies as st

from autobatch_console.supervising.supervisor import FIRST_S, LONGEST_S, RAN_WELL_S, Backoff


def test_the_pause_doubles_up_to_half_a_minute() -> None:
    backoff = Backoff()
    pauses = [backoff.pause_s(ran_s=0.1) for _ in range(8)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_after_a_good_run_the_pause_is_short_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.pause_s(ran_s=0.1)
    assert backoff.pause_s(ran_s=RAN_WELL_S) == FIRST_S
    assert backoff.pause_s(ran_s=0.1) == 2 * FIRST_S


@given(st.lists(st.floats(min_value=0, max_value=1000)))
def test_no_pause_is_ever_out_of_bounds(runs_s: list[float]) -> None:
    backoff = Backoff()
    assert all(FIRST_S <= backoff.pause_s(ran_s) <= LONGEST_S for ran_s in runs_s)
