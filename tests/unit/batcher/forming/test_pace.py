"""Whether it pays to let a batch fill before it is claimed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.forming.pace import BURST_MIN, LINGER_MAX_S, Pace

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
def test_no_history_makes_a_claim_wait_long(claims: list[tuple[int, float]], missing: int) -> None:
    pace, now_s = Pace(), 0.0
    for inputs, gap_s in claims:
        now_s += gap_s
        pace.note(inputs, now_s)
    assert 0 <= pace.linger_s(missing, PATIENT_S) <= LINGER_MAX_S


CALL_S = 0.001
SOON_S = 0.001
LATE_S = 1.0


def lone_requests(pace: Pace, count: int, *, began_s: float = 0.0, call_s: float = CALL_S) -> float:
    """Let one client ask again and again, each time when it has its answer; return when."""
    now_s = began_s
    for _ in range(count):
        pace.note(1, now_s)
        pace.arrived(now_s)
        pace.left_alone(now_s)
        now_s += call_s
        pace.ended()
    return now_s


def bursts(pace: Pace, count: int, *, began_s: float = 0.0) -> float:
    """Let some come at once after silence, again and again; return when."""
    now_s = began_s
    for _ in range(count):
        pace.arrived(now_s)
        pace.left_alone(now_s)
        pace.arrived(now_s + SOON_S)
        pace.ended()
        now_s += LATE_S
    return now_s


def lingers(pace: Pace) -> bool:
    return pace.burst_linger_s(CALL_S, PATIENT_S) > 0


def test_until_it_is_known_better_the_first_after_silence_waits_for_others() -> None:
    assert CALL_S == Pace().burst_linger_s(CALL_S, PATIENT_S)


@pytest.mark.parametrize("call_s", [0.0001, 0.001, 0.1])
def test_who_asks_alone_waits_for_nothing_after_a_few_times(call_s: float) -> None:
    """However fast the answers, its next request is no companion of the one before."""
    pace = Pace()
    lone_requests(pace, 2, call_s=call_s)

    assert not lingers(pace)


def test_bursts_are_waited_for_again_after_a_few() -> None:
    pace = Pace()
    now_s = lone_requests(pace, 1_000)
    bursts(pace, 2, began_s=now_s)

    assert lingers(pace)


def test_a_burst_now_and_then_makes_no_claim_wait() -> None:
    pace, now_s = Pace(), 0.0
    for _ in range(20):
        now_s = lone_requests(pace, 5, began_s=now_s)
        now_s = bursts(pace, 1, began_s=now_s)
        assert not lingers(pace)


def test_who_comes_long_after_is_no_companion() -> None:
    """Also while the call still runs: for that one no wait of 2 ms would have been long enough."""
    pace = Pace()
    for second in range(5):
        pace.left_alone(second)
        pace.arrived(second + 2 * LINGER_MAX_S + 0.0001)

    assert not lingers(pace)


def test_of_one_burst_is_learnt_once() -> None:
    """Its other parts, claimed one after the other, say nothing new."""
    once, often = Pace(), Pace()
    for pace in (once, often):
        lone_requests(pace, 3)
        pace.left_alone(1.0)
        pace.arrived(1.0 + SOON_S)
    for _ in range(10):
        often.arrived(1.0 + SOON_S)
        often.ended()

    assert once.burst_linger_s(CALL_S, PATIENT_S) == often.burst_linger_s(CALL_S, PATIENT_S)
    assert once._burst_share == often._burst_share


def test_claims_and_calls_of_which_none_left_alone_teach_nothing() -> None:
    pace = Pace()
    for second in range(100):
        pace.arrived(second)
        pace.ended()

    assert lingers(pace)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["left_alone", "arrived", "ended"]), st.floats(0, 0.01)),
        max_size=60,
    ),
    call_s=st.floats(0, 1),
    wait_max_s=st.floats(0, 1),
)
def test_no_claim_waits_longer_than_the_call_costs_that_it_saves(
    steps: list[tuple[str, float]], call_s: float, wait_max_s: float
) -> None:
    pace, now_s = Pace(), 0.0
    for what, gap_s in steps:
        now_s += gap_s
        if what == "ended":
            pace.ended()
        else:
            (pace.left_alone if what == "left_alone" else pace.arrived)(now_s)
        assert 0 <= pace._burst_share <= 1
        linger_s = pace.burst_linger_s(call_s, wait_max_s)
        assert linger_s in (0, min(call_s, LINGER_MAX_S, wait_max_s))
        assert linger_s == 0 or pace._burst_share >= BURST_MIN


@pytest.mark.parametrize("group", [1, 2, 4, 32])
def test_of_clients_that_all_ask_again_as_many_are_expected_as_were_answered_but_for_the_last_of_many(
    group: int,
) -> None:
    """A second group, just as large, then waits for the first: else the two would take turns for ever."""
    pace = Pace()
    for second in range(20):
        pace.answered(group, second + SOON_S)
        pace.note(group, second + SOON_S / 2)
    pace.answered(group, 20 + SOON_S)

    assert (group if group < 10 else 29) == pace.missing()
