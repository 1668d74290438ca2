"""What an upstream that says 429 may have in flight: less at once, more by and by."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.upstreams.congestion import (
    ASKED_MAX_S,
    CLOSE,
    KNOWN_MAX_INPUTS,
    PATIENCE_MAX_S,
    PAUSE_MAX_S,
    VAIN_PAUSES_MAX,
    Congestion,
)
from autobatch_batcher.upstreams.slots import Pool, Slot
from tests.unit.upstreams import make_upstream

NOW_S = 100.0


def refused(times: int, in_flight_inputs: int = 64) -> Congestion:
    congestion = Congestion()
    for number in range(times):
        congestion.refused(NOW_S + number, NOW_S + number + 0.5, in_flight_inputs, None)
    return congestion


def played(limit: int, seconds: float, call_s: float = 0.03) -> tuple[Congestion, list[float]]:
    """One call after the other with all that may be in flight; return when some were refused."""
    congestion, now_s, refused_s = refused(1, 32), NOW_S, []
    while now_s < NOW_S + seconds:
        inputs = int(min(congestion.inputs_max, 512))
        if inputs > limit:
            congestion.refused(now_s, now_s, inputs, None)
            refused_s.append(now_s - NOW_S)
            now_s = max(now_s, congestion.pause_ends_s)
        else:
            now_s += call_s
            congestion.answered(inputs, inputs, now_s)
    return congestion, refused_s


def test_nothing_is_limited_before_something_was_refused() -> None:
    assert inf == Congestion().inputs_max


def test_a_refusal_halves_what_was_in_flight() -> None:
    assert [32.0, 16.0, 8.0] == [refused(times).inputs_max for times in (1, 2, 3)]


def test_calls_that_were_refused_together_are_one_refusal() -> None:
    """Or eight calls in flight would leave a two hundred and fiftieth of the window."""
    congestion = Congestion()
    for _ in range(8):
        congestion.refused(NOW_S, NOW_S + 0.1, 64, None)

    assert 32.0 == congestion.inputs_max


def test_one_input_may_always_be_sent() -> None:
    assert 1.0 == refused(50).inputs_max


@given(st.lists(st.integers(1, 32), min_size=1, max_size=200), st.floats(0.0, 100.0))
def test_answers_never_narrow_the_window(calls: list[int], later_s: float) -> None:
    congestion = refused(3)
    for inputs in calls:
        before = congestion.inputs_max
        congestion.answered(inputs, inputs, NOW_S + later_s)
        assert congestion.inputs_max >= before


@given(st.integers(1, 400))
def test_a_limit_is_found_to_an_eighth_and_then_seldom_exceeded(limit: int) -> None:
    """An upstream that refuses one call in ten has done a third less."""
    congestion, refused_s = played(limit, 60.0)
    assert congestion.inputs_max > limit * (1 - 2 * CLOSE) - 2
    assert len([each for each in refused_s if each > 30.0]) <= 2


def test_what_is_refused_above_what_was_taken_goes_on_with_that_and_without_a_pause() -> None:
    congestion = refused(1, 32)
    congestion.answered(16, 16, NOW_S + 1)
    assert 24.0 == congestion.inputs_max
    pause_ends_s = congestion.pause_ends_s
    congestion.refused(NOW_S + 1, NOW_S + 1, 24, None)

    assert (16.0, pause_ends_s) == (congestion.inputs_max, congestion.pause_ends_s)


def test_where_less_is_refused_than_was_taken_the_limit_is_looked_for_anew() -> None:
    congestion = refused(1, 64)
    congestion.answered(32, 32, NOW_S + 1)
    congestion.refused(NOW_S + 2, NOW_S + 2, 32, None)

    assert 16.0 == congestion.inputs_max
    assert congestion.pause_ends_s > NOW_S + 2


def test_a_limit_that_was_raised_is_found_in_time() -> None:
    """Others send less now: more is tried again after half a minute at most."""
    congestion, _ = played(24, 60.0)
    now_s = NOW_S + 60.0
    while congestion.inputs_max < 200:
        now_s += 0.03
        congestion.answered(int(congestion.inputs_max), int(congestion.inputs_max), now_s)

    assert now_s < NOW_S + 60.0 + PATIENCE_MAX_S + 1


def test_a_limit_that_was_not_felt_for_long_is_none() -> None:
    congestion = refused(1)
    now_s = NOW_S
    while congestion.is_felt:
        now_s += 1.0
        congestion.answered(1000, int(min(congestion.inputs_max, 512)), now_s)
        assert congestion.inputs_max == inf or congestion.inputs_max <= KNOWN_MAX_INPUTS

    assert inf == congestion.inputs_max


def test_the_upstreams_own_pause_is_kept_within_reason() -> None:
    for asked_s, pause_s in ((2.0, 2.0), (0.0, 0.05), (86_400.0, ASKED_MAX_S)):
        congestion = Congestion()
        congestion.refused(NOW_S, NOW_S, 32, asked_s)
        assert NOW_S + pause_s == congestion.pause_ends_s


def test_without_one_the_pauses_grow() -> None:
    assert [0.05, 0.1, 0.2, PAUSE_MAX_S] == [
        round(refused(times).pause_ends_s - (NOW_S + times - 0.5), 6) for times in (1, 2, 3, 20)
    ]


def test_nothing_is_called_in_a_pause_and_the_loop_knows_when_it_ends() -> None:
    paused, well = make_upstream("paused"), make_upstream("well")
    paused.congestion.refused(NOW_S, NOW_S, 32, 3.0)

    assert Pool([paused, well]).free(NOW_S) is well
    assert Pool([paused]).free(NOW_S + 2.9) is None
    assert Pool([paused]).free(NOW_S + 3.0) is paused
    assert NOW_S + 3.0 == Pool([paused]).next_free_s(NOW_S)


def test_the_next_call_is_no_larger_than_the_window() -> None:
    upstream = make_upstream("a")
    upstream.congestion.refused(NOW_S, NOW_S, 20, None)

    assert 10 == Pool([upstream]).limits_now(upstream).inputs_max
    Slot(upstream, 8, 8, was_busy=False)
    assert 2 == Pool([upstream]).limits_now(upstream).inputs_max


def told_to_come_later(times: int, in_flight_inputs: int, call_inputs: int) -> Congestion:
    """Each call comes when the last one was told to."""
    congestion, now_s = Congestion(), NOW_S
    for _ in range(times):
        congestion.refused(now_s, now_s + 0.1, in_flight_inputs, 1.0, call_inputs)
        now_s = congestion.pause_ends_s
    return congestion


def test_calls_of_an_upstream_that_says_when_to_come_again_stay_full() -> None:
    """It may count calls: smaller ones would spend what is scarce on fewer texts."""
    assert 32.0 == told_to_come_later(VAIN_PAUSES_MAX - 1, 128, 32).inputs_max


def test_what_is_refused_alone_waits_for_its_time_and_is_no_smaller_then() -> None:
    congestion = told_to_come_later(VAIN_PAUSES_MAX, 32, 32)

    assert inf == congestion.inputs_max
    assert NOW_S < congestion.pause_ends_s


def test_a_call_that_is_refused_again_and_again_at_the_time_that_was_said_is_too_large() -> None:
    assert 16.0 == told_to_come_later(VAIN_PAUSES_MAX + 1, 32, 32).inputs_max


def test_an_answer_after_a_pause_shows_that_it_was_long_enough() -> None:
    congestion = told_to_come_later(VAIN_PAUSES_MAX, 32, 32)
    congestion.answered(32, 32, NOW_S + 100)
    congestion.refused(NOW_S + 101, NOW_S + 101.1, 32, 1.0, 32)

    assert inf == congestion.inputs_max


def test_a_job_that_is_larger_than_the_window_pauses_when_it_is_refused() -> None:
    """It is sent all the same, and would be sent again and again within a moment."""
    congestion = refused(6)
    congestion.answered(1, 1, NOW_S + 10)
    for second in range(20, 24):
        congestion.refused(NOW_S + second, NOW_S + second, 5, None, 5)

    assert congestion.inputs_max < 5
    assert congestion.pause_ends_s > NOW_S + 23


def answered_of_a_rate(calls_per_s: float, inputs_per_s: float, seconds: float, call_s: float = 0.02) -> float:
    """One call after the other with what has come in meanwhile, to an upstream that counts calls; return the share that was answered."""
    congestion, now_s, calls, answered = Congestion(), NOW_S, calls_per_s, 0.0
    while now_s < NOW_S + seconds:
        began_s, waiting = now_s, inputs_per_s * (now_s - NOW_S) - answered
        inputs = int(min(congestion.inputs_max, waiting, 32))
        if inputs and calls >= 1:
            now_s += call_s
            calls -= 1
            congestion.answered(inputs, inputs, now_s)
            answered += inputs
        elif inputs:
            now_s += 0.001
            congestion.refused(began_s, now_s, inputs, None, inputs)
            now_s = max(now_s, congestion.pause_ends_s)
        else:
            now_s += 0.001
        calls = min(calls_per_s, calls + (now_s - began_s) * calls_per_s)
    return answered / (inputs_per_s * seconds)


def test_calls_of_an_upstream_that_counts_them_and_does_not_say_when_to_come_again_become_full() -> None:
    """The smaller they are the more of them it refuses."""
    assert answered_of_a_rate(20, 300, 20.0) > 0.95


def test_the_smallest_call_that_is_refused_alone_though_it_was_taken_shows_nothing_of_the_size() -> None:
    congestion = refused(6, 2)
    congestion.answered(1, 1, NOW_S + 10)
    assert 2.0 == congestion.inputs_max
    congestion.refused(NOW_S + 20, NOW_S + 20, 1, None, 1)

    assert 2.0 == congestion.inputs_max
    assert NOW_S + 20 < congestion.pause_ends_s


def test_where_that_goes_on_calls_are_smaller_again() -> None:
    """Others fill it, and what they leave is less than it took before."""
    congestion, now_s = refused(1, 64), NOW_S + 10
    congestion.answered(32, 32, now_s)
    congestion.refused(now_s + 1, now_s + 1, 1, None, 1)
    for _ in range(VAIN_PAUSES_MAX):
        now_s = congestion.pause_ends_s
        congestion.refused(now_s, now_s, 32, None, 32)

    assert congestion.inputs_max <= 16
