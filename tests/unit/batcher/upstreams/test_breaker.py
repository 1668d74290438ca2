"""An upstream that only fails is left alone, and comes back."""

from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.upstreams.breaker import (
    ALONE_PAUSE_MAX_S,
    ALONE_PAUSE_MIN_S,
    FAILURES_MAX,
    LATE_MAX,
    PAUSE_MAX_S,
    PAUSE_MIN_S,
    REACHED_PAUSE_MAX_S,
    Breaker,
)

NOW_S = 100.0


def failed_in_a_row(failures: int, now_s: float = NOW_S) -> Breaker:
    breaker = Breaker()
    for _ in range(failures):
        breaker.called()
        breaker.failed(now_s)
    return breaker


def fail_a_trial(breaker: Breaker, now_s: float) -> None:
    assert breaker.may_try(now_s)
    breaker.called()
    breaker.failed(now_s)


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    """One input that the model fails on makes three, and is no outage."""
    assert 5 == FAILURES_MAX
    assert failed_in_a_row(4).is_closed
    assert not failed_in_a_row(5).is_closed


@given(st.lists(st.sampled_from(["failed", "failed", "failed", "succeeded", "learnt_nothing"]), max_size=40))
def test_it_is_open_just_when_so_many_failed_since_the_last_success(answers: list[str]) -> None:
    breaker, in_a_row = Breaker(), 0
    for answer in answers:
        breaker.called()
        if answer == "failed":
            breaker.failed(NOW_S)
            in_a_row += 1
        elif answer == "succeeded":
            breaker.succeeded()
            in_a_row = 0
        else:
            breaker.learnt_nothing()
        assert (in_a_row < FAILURES_MAX) == breaker.is_closed


def test_while_it_is_closed_there_is_nothing_to_try() -> None:
    assert not Breaker().may_try(NOW_S)
    assert not failed_in_a_row(4).may_try(NOW_S + PAUSE_MAX_S)


def test_nothing_is_tried_before_the_pause_is_over() -> None:
    breaker = failed_in_a_row(5)

    assert not breaker.may_try(NOW_S + PAUSE_MIN_S - 0.01)
    assert breaker.may_try(NOW_S + PAUSE_MIN_S)


def test_one_is_tried_at_a_time() -> None:
    breaker = failed_in_a_row(5)
    breaker.called()

    assert not breaker.may_try(NOW_S + PAUSE_MAX_S)


def test_a_trial_that_succeeds_closes_it() -> None:
    breaker = failed_in_a_row(5)
    breaker.called()
    breaker.succeeded()

    assert breaker.is_closed
    assert not breaker.may_try(NOW_S + PAUSE_MAX_S)


def test_after_a_success_it_takes_as_many_failures_as_before() -> None:
    breaker = failed_in_a_row(5)
    breaker.called()
    breaker.succeeded()
    for _ in range(4):
        breaker.failed(NOW_S)

    assert breaker.is_closed
    breaker.failed(NOW_S)
    assert breaker.may_try(NOW_S + PAUSE_MIN_S)


def test_a_trial_that_fails_doubles_the_pause_up_to_half_a_minute() -> None:
    breaker, now_s, pauses_s = failed_in_a_row(5), NOW_S + PAUSE_MIN_S, []
    for _ in range(7):
        fail_a_trial(breaker, now_s)
        pause_s = next(pause_s for pause_s in (1, 2, 4, 8, 16, 30, 60) if breaker.may_try(now_s + pause_s))
        assert not breaker.may_try(now_s + pause_s - 0.01)
        pauses_s.append(pause_s)
        now_s += pause_s

    assert [2, 4, 8, 16, 30, 30, 30] == pauses_s


def test_a_success_makes_the_next_pause_short_again() -> None:
    breaker = failed_in_a_row(5)
    fail_a_trial(breaker, NOW_S + PAUSE_MIN_S)
    breaker.succeeded()
    for _ in range(FAILURES_MAX):
        breaker.failed(200.0)

    assert breaker.may_try(200.0 + PAUSE_MIN_S)


def test_a_trial_from_which_nothing_is_learnt_lets_the_next_one_go() -> None:
    breaker = failed_in_a_row(5)
    breaker.called()
    breaker.learnt_nothing()

    assert not breaker.is_closed
    assert breaker.may_try(NOW_S + PAUSE_MIN_S)


def test_calls_that_were_in_flight_when_it_opened_do_not_make_the_pause_longer() -> None:
    """Sixteen calls in flight to an upstream that dies are one outage, and not eleven failed trials."""
    breaker = Breaker()
    for _ in range(16):
        breaker.called()
    for _ in range(16):
        breaker.failed(NOW_S)

    assert breaker.may_try(NOW_S + PAUSE_MIN_S)


def test_an_only_upstream_is_tried_often() -> None:
    """Everything waits for it; and a trial is one job."""
    breaker, now_s, pauses_s = failed_in_a_row(5), NOW_S, []
    for _ in range(6):
        pause_s = breaker.trial_s(is_alone=True) - now_s
        now_s += pause_s
        assert breaker.may_try(now_s, is_alone=True)
        assert not breaker.may_try(now_s)
        breaker.called()
        breaker.failed(now_s)
        pauses_s.append(round(pause_s, 6))

    assert [ALONE_PAUSE_MIN_S, 0.2, 0.4, 0.8, ALONE_PAUSE_MAX_S, ALONE_PAUSE_MAX_S] == pauses_s


def test_one_that_can_be_reached_again_is_tried_at_once() -> None:
    breaker = failed_in_a_row(5)
    breaker.reached()

    assert breaker.may_try(NOW_S)


def test_a_probe_that_finds_it_well_shortens_no_pause_after_a_trial_that_failed() -> None:
    """Calls are cut and probes are answered: a trial after each probe would cost a job its call nine times a second."""
    breaker, now_s, pauses_s = failed_in_a_row(5), NOW_S, []
    for _ in range(5):
        breaker.reached()
        pause_s = max(0.0, breaker.trial_s() - now_s)
        now_s += pause_s
        fail_a_trial(breaker, now_s)
        pauses_s.append(pause_s)

    assert [0.0, 2.0, REACHED_PAUSE_MAX_S, REACHED_PAUSE_MAX_S, REACHED_PAUSE_MAX_S] == pauses_s
    assert breaker.may_try(now_s + ALONE_PAUSE_MAX_S, is_alone=True)


def test_the_next_time_that_it_is_taken_out_its_pauses_are_as_long_as_ever() -> None:
    breaker, now_s = failed_in_a_row(5), NOW_S
    breaker.reached()
    breaker.succeeded()
    for _ in range(FAILURES_MAX):
        breaker.failed(now_s)
    for _ in range(7):
        now_s = breaker.trial_s()
        fail_a_trial(breaker, now_s)

    assert breaker.trial_s() == now_s + PAUSE_MAX_S


def test_it_knows_since_when_it_only_fails() -> None:
    breaker = Breaker()
    assert breaker.failing_since_s is None
    breaker.failed(NOW_S)
    breaker.failed(NOW_S + 9)
    assert breaker.failing_since_s == NOW_S
    breaker.succeeded()
    assert breaker.failing_since_s is None


def test_late_calls_in_a_row_open_it_and_an_answer_closes_it() -> None:
    breaker = Breaker()
    for _ in range(LATE_MAX):
        assert breaker.is_closed
        breaker.late(NOW_S)

    assert not breaker.is_closed
    assert not breaker.may_try(NOW_S)
    breaker.succeeded()
    assert breaker.is_closed


def test_a_late_trial_is_one_that_failed() -> None:
    """However impatient its client was."""
    breaker = failed_in_a_row(5)
    breaker.called()
    breaker.late(NOW_S + 1)
    breaker.learnt_nothing()

    assert not breaker.may_try(NOW_S + 2.9)
    assert breaker.may_try(NOW_S + 3)
