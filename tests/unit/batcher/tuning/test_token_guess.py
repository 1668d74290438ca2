"""How many tokens inputs will be, as the last calls show."""

from random import Random

import pytest

from autobatch_batcher.tuning.token_guess import TokenGuess
from autobatch_shared.contract.capacity import tokens_guessed


def guessed(guess: TokenGuess, inputs: int, size_bytes: int) -> int:
    return tokens_guessed(inputs, size_bytes, guess.an_input, guess.bytes_a_token)


def test_short_and_long_texts_are_both_guessed_although_special_tokens_are_half_of_a_short_one() -> None:
    """By bytes alone one of them is wrong by half."""
    guess, draw = TokenGuess(), Random(1)
    for _ in range(40):
        inputs = draw.randint(1, 16)
        size_bytes = sum(draw.choice((8, 400)) for _ in range(inputs))
        guess.learn(round(2 * inputs + size_bytes / 4), inputs, size_bytes)

    assert guessed(guess, 1, 8) in (4, 5)
    assert guessed(guess, 1, 400) in (102, 103)
    assert guess.error < 1.5


def test_of_calls_that_are_alike_it_is_their_bytes() -> None:
    guess = TokenGuess()
    for _ in range(10):
        guess.learn(50, 1, 100)

    assert guess.an_input == 0.0
    assert guess.bytes_a_token == pytest.approx(2)
    assert guess.error == 0.0


def test_what_texts_are_like_may_change() -> None:
    guess = TokenGuess()
    for _ in range(20):
        guess.learn(100, 2, 400)
    for _ in range(40):
        guess.learn(400, 2, 400)

    assert guessed(guess, 2, 400) == pytest.approx(400, rel=0.02)


@pytest.mark.parametrize("tokens", [0, 10**9])
def test_odd_counts_are_not_believed(tokens: int) -> None:
    guess = TokenGuess()
    for size_bytes in (100, 300, 50):
        guess.learn(tokens, 1, size_bytes)

    assert 0.5 <= guess.bytes_a_token <= 16
    assert 0 <= guess.an_input <= 16
