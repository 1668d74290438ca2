"""What a claim is told of an upstream's budget."""

import pytest

from autobatch_batcher.tuning.pacing import Pacing
from autobatch_shared.contract.capacity import CALLS, NOT_SAID, TOKENS, SaidLeft, SaidLimit

NOW_S = 100.0


def granted(pacing: Pacing, times: int = 1) -> None:
    for _ in range(times):
        pacing.budget(NOW_S)
        pacing.claimed(5, 500, NOW_S, is_granted=True)


def test_a_call_that_was_granted_is_not_used_twice() -> None:
    pacing = Pacing("http://paid", 60, None)
    granted(pacing)
    pacing.called()

    budget = pacing.budget(NOW_S)

    assert (budget.calls, budget.tokens, budget.minute_ms) == (60, 0, 60_000)
    assert (budget.calls_used, budget.calls_needed) == (0, 1)


def test_calls_that_nothing_was_claimed_for_are_made_good_once() -> None:
    pacing = Pacing("http://paid", 60, None)
    granted(pacing)
    for _ in range(3):  # a retry, and another half
        pacing.called()

    assert pacing.budget(NOW_S).calls_used == 2
    pacing.claimed(5, -1, NOW_S, is_granted=False)
    assert pacing.budget(NOW_S).calls_used == 0


def test_a_claim_that_failed_is_no_payment() -> None:
    pacing = Pacing("http://paid", 60, None)
    pacing.called()

    assert [pacing.budget(NOW_S).calls_used for _ in range(2)] == [1, 1]


def test_a_call_that_was_granted_and_not_made_is_not_asked_for_again() -> None:
    pacing = Pacing("http://paid", 60, None)
    granted(pacing)

    assert pacing.budget(NOW_S).calls_needed == 0


def test_a_call_is_needed_until_one_is_granted_and_none_where_calls_are_not_counted() -> None:
    pacing, by_tokens = Pacing("http://paid", 60, None), Pacing("http://paid", None, 1000)
    needed = [pacing.needs_call, by_tokens.needs_call]
    granted(pacing)

    assert [*needed, pacing.needs_call] == [True, False, False]


@pytest.mark.parametrize(("counted", "used"), [(3, 3 - 10), (30, 20), (None, 0)])
def test_a_guess_is_corrected_by_what_the_upstream_counted(counted: int | None, used: int) -> None:
    pacing = Pacing("http://paid", None, 1000)

    pacing.counted(counted, 10, 1, 37)

    assert pacing.budget(NOW_S).tokens_used == used


def test_what_is_left_over_grows_with_how_far_guesses_were_off() -> None:
    """An upstream refuses each call that has one token more than is left, and counts questions about its health."""
    pacing = Pacing("http://paid", None, 10_000)
    pacing.counted(100, 100, 1, 400)
    assert pacing.budget(NOW_S).tokens_kept == 50

    for tokens in (60, 140) * 10:
        pacing.counted(tokens, 100, 1, 400)
    assert 100 < pacing.budget(NOW_S).tokens_kept < 150

    for tokens in (1, 900) * 10:
        pacing.counted(tokens, 100, 1, 400)
    assert pacing.budget(NOW_S).tokens_kept == 300


def test_what_the_upstream_says_goes_along_with_one_claim() -> None:
    pacing = Pacing("http://paid", 60, 6000)
    assert (pacing.budget(NOW_S).calls_said, pacing.budget(NOW_S).said_ms) == (NOT_SAID, -1)

    pacing.told({CALLS: SaidLimit(3, 60, 57.0)}, 17, NOW_S - 0.5, NOW_S)

    budgets = [pacing.budget(NOW_S + after_s) for after_s in (0, 2.5, 600)]
    assert [(each.asked_ms, each.said_ms) for each in budgets] == [(500, 0), (3000, 2500), (600_500, 600_000)]
    assert [each.calls_said for each in budgets] == [SaidLeft(3, 3, 57_000)] * 3
    assert (budgets[0].tokens_said, budgets[0].own_tokens) == (NOT_SAID, 17)
    pacing.claimed(5, 500, NOW_S, is_granted=True)
    assert pacing.budget(NOW_S).calls_said == NOT_SAID


@pytest.mark.parametrize(
    "said", [SaidLimit(14_370, 14_400, 180.0), SaidLimit(30, 1000, 180.0), SaidLimit(61, None, 180.0)]
)
def test_what_is_said_of_another_limit_than_ours_gives_no_more_leave(said: SaidLimit) -> None:
    """Groq's header of requests is of a day."""
    pacing = Pacing("http://paid", 60, None)
    pacing.told({CALLS: said}, 0, NOW_S, NOW_S)

    assert pacing.budget(NOW_S).calls_said == SaidLeft(min(said.left, 60))


def test_what_is_said_without_limit_and_reset_may_be_left_of_seconds_only() -> None:
    """Azure's headers are of ten seconds; with a refusal they say when these end. What names its limit is believed again."""
    pacing = Pacing("http://paid", 60, None)
    pacing.told({CALLS: SaidLimit(9)}, 0, NOW_S, NOW_S)
    pacing.told({CALLS: SaidLimit(0, None, 7.0)}, 0, NOW_S, NOW_S)
    pacing.refused({CALLS: SaidLimit(0, None, 7.0)}, 0, NOW_S)

    budget = pacing.budget(NOW_S)
    assert (budget.calls_said, budget.refused) == (NOT_SAID, 1)

    pacing.told({CALLS: SaidLimit(40, 60)}, 0, NOW_S, NOW_S)
    assert pacing.budget(NOW_S).calls_said == SaidLeft(40, 40)


@pytest.mark.parametrize(
    ("said", "is_even"),
    [
        (SaidLimit(40, 60, 20.0), True),
        (SaidLimit(40, 60, 60.0), False),
        (SaidLimit(3, 60, 57.0), None),
        (SaidLimit(60, 60, 0.0), None),
        (SaidLimit(40, 60), None),
        (SaidLimit(58, 60, 2.0), None),
        (SaidLimit(20, 30, 20.0), False),
    ],
)
def test_whether_calls_come_back_evenly_shows_while_some_are_left(said: SaidLimit, *, is_even: bool | None) -> None:
    pacing = Pacing("http://paid", 60, None)
    pacing.told({CALLS: said}, 0, NOW_S, NOW_S)

    assert pacing.budget(NOW_S).calls_said.is_even is is_even


def test_the_tokens_of_a_refused_call_are_needed_again() -> None:
    pacing = Pacing("http://paid", None, 1000)
    pacing.refused({TOKENS: SaidLimit(10)}, 100, NOW_S)

    budget = pacing.budget(NOW_S)
    assert (budget.tokens_used, budget.tokens_owed, budget.refused_ms, pacing.needs_call) == (-100, 100, -1, True)
    pacing.claimed(-1, 500, NOW_S, is_granted=False)
    assert (pacing.budget(NOW_S).tokens_used, pacing.budget(NOW_S).tokens_owed) == (0, 100)
    pacing.claimed(-1, 500, NOW_S, is_granted=True)
    assert (pacing.budget(NOW_S).tokens_owed, pacing.needs_call) == (0, False)


def test_a_refusal_that_nothing_explains_is_told_once() -> None:
    """The upstream counts shorter spans than a minute, or others ask it, too."""
    pacing = Pacing("http://paid", 60, None)
    pacing.refused({CALLS: SaidLimit(20)}, 0, NOW_S - 1.0)
    pacing.refused({}, 0, NOW_S - 0.5)

    assert (pacing.budget(NOW_S).refused, pacing.budget(NOW_S).refused_ms) == (2, 500)
    pacing.claimed(5, -1, NOW_S, is_granted=False)
    assert (pacing.budget(NOW_S).refused, pacing.budget(NOW_S).refused_ms) == (0, -1)


def test_a_rate_is_that_of_the_scarcer_limit() -> None:
    pacing = Pacing("http://paid", 60, 6000)
    assert pacing.inputs_a_second(32) == 32

    pacing.counted(40, 0, 4, 100)  # ten tokens an input

    assert pacing.inputs_a_second(32) == 10
    granted(pacing)
    assert [pacing.inputs_left(32, NOW_S + after_s) for after_s in (0, 6, 3600)] == [50, 110, 600]


def test_of_two_upstreams_each_has_its_budget() -> None:
    first, second = (Pacing(name, 60, None).budget(NOW_S).upstream for name in ("http://a", "http://b"))

    assert first != second
