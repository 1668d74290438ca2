"""Latencies as lines of text."""

from hypothesis import given
from hypothesis import strategies as st

from autobatch_bench.report.histogram import LINES_MAX, histogram


@given(st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=200))
def test_every_answer_is_in_one_line(latencies_s: list[float]) -> None:
    lines = histogram(latencies_s)
    assert len(latencies_s) == sum(int(line.split()[-1]) for line in lines)
    assert 1 <= len(lines) <= LINES_MAX + 1


def test_the_fullest_line_is_the_longest() -> None:
    short, long = histogram([0.010, 0.020, 0.020, 0.020])[0], histogram([0.010, 0.020, 0.020, 0.020])[-1]
    assert 3 * short.count("█") <= long.count("█")
    assert long.split()[:2] == ["20.0", "ms"]


def test_without_answers_there_is_no_line() -> None:
    assert [] == histogram([])
