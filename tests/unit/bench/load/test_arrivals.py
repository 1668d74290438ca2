"""The open loop's clock: latency begins when a request was meant to start."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_bench.load.arrivals import LATE_S, Arrivals, poisson


def test_arrivals_come_at_the_rate_and_by_chance() -> None:
    starts = list(poisson(200, 50, seed=3))
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(starts) == pytest.approx(200 * 50, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)  # as in an exponential distribution
    assert starts == sorted(starts)
    assert starts[-1] < 50


def test_the_same_seed_is_the_same_traffic() -> None:
    assert list(poisson(100, 1, seed=1)) == list(poisson(100, 1, seed=1)) != list(poisson(100, 1, seed=2))


def test_a_stall_is_seen_by_everybody_who_would_have_come_meanwhile() -> None:
    """One connection, a request each 10 ms, and a server that stalls for 0.5 s: fifty latencies show it, not one."""
    arrivals = Arrivals(number / 100 for number in range(200))
    latencies: list[float] = []
    now_s, free_s = 0.0, 0.5
    while len(latencies) < 200:
        arrivals.let_in(now_s)
        if now_s >= free_s and (start_s := arrivals.take()) is not None:
            free_s = now_s + 0.001
            latencies.append(free_s - start_s)
        now_s += 0.001
    assert sum(latency > 0.1 for latency in latencies) >= 40
    assert max(latencies) == pytest.approx(0.5, abs=0.01)


def test_the_tools_own_lateness_is_counted_apart_from_waiting() -> None:
    arrivals = Arrivals(iter([0.0, 0.1, 0.2]))
    arrivals.let_in(0.0)
    arrivals.let_in(0.2)
    assert arrivals.late == 1
    assert [arrivals.take() for _ in range(4)] == [0.0, 0.1, 0.2, None]


@given(st.lists(st.floats(0, 10), max_size=30).map(sorted), st.floats(0, 0.1))
def test_every_arrival_is_let_in_once_and_in_order(starts: list[float], lag_s: float) -> None:
    arrivals = Arrivals(iter(starts))
    taken = []
    while (next_s := arrivals.next_s) is not None:
        arrivals.let_in(next_s + lag_s)
        while (start_s := arrivals.take()) is not None:
            taken.append(start_s)
    assert taken == starts
    assert arrivals.late <= len(starts)
    if lag_s < LATE_S / 2:
        assert arrivals.late == 0
