"""How many requests a second a window had."""

import pytest

from autobatch_batcher.advising.measuring.upstream_timer import steady_rate


def test_whole_cycles_of_texts_count_whatever_the_window_has_beyond_them() -> None:
    """Of each three answers two come after 1 s and one after 4 s: any two in a row would tell something else."""
    answered_s, now_s = [], 0.0
    for number in range(17):
        now_s += 4.0 if number % 3 == 2 else 1.0
        answered_s.append(now_s)
    assert pytest.approx(3 / 6) == steady_rate(answered_s, 3)


def test_answers_that_come_together_are_no_more_than_they_are() -> None:
    """Eight in each tenth of a second are 80 a second, wherever the window ends."""
    for count in range(80, 100):
        answered_s = [0.1 * (1 + number // 8) for number in range(count)]
        assert pytest.approx(80) == steady_rate(answered_s, 32)


@pytest.mark.parametrize(("answered_s", "rate"), [([], 0.0), ([1.0], 0.0), ([1.0, 1.5, 2.0], 2.0)])
def test_fewer_answers_than_texts_count_as_they_are(answered_s: list[float], rate: float) -> None:
    assert rate == steady_rate(answered_s, 128)
