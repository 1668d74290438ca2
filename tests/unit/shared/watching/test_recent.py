"""What is kept of the last minute: counts by second, durations in buckets."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as some

from autobatch_shared.measuring.buckets import LATENCY_BUCKETS_S
from autobatch_shared.watching.activity import KEPT_S, RECENT_S
from autobatch_shared.watching.durations import BOUNDS_MS, LONGER, RecentDurations, percentile_ms, summed
from autobatch_shared.watching.per_second import PerSecond

GROWTH = 1.25  # of each bucket's bound
START_MS = 1_800_000_000_000


def test_looks_that_are_not_a_second_apart_leave_no_dent() -> None:
    counted, at_ms = PerSecond(), START_MS
    for passed_ms in [1100] * 30:
        counted.add(110, at_ms, at_ms + passed_ms)
        at_ms += passed_ms
    assert {100} == set(counted.before(at_ms // 1000)[-20:])


def test_nothing_is_lost_or_made_up() -> None:
    counted = PerSecond()
    counted.add(1000, START_MS + 250, START_MS + 2250)
    assert [375, 500, 125] == counted.before(START_MS // 1000 + 3)[-3:]


def test_a_step_of_the_clock_back_spreads_nothing() -> None:
    counted = PerSecond()
    counted.add(7, START_MS + 9000, START_MS)
    assert 7 == counted.before(START_MS // 1000 + 1)[-1]


def test_what_was_seen_fills_the_time_since_the_last_look() -> None:
    seen = PerSecond()
    seen.note(5, START_MS, START_MS + 2000)
    seen.note(3, START_MS + 2000, START_MS + 3000)
    assert [5, 5, 3] == seen.before(START_MS // 1000 + 3)[-3:]


def test_only_the_last_minute_is_kept() -> None:
    counted = PerSecond()
    for second in range(500):
        counted.add(1, START_MS + 1000 * second, START_MS + 1000 * (second + 1))
    assert len(counted._values) <= KEPT_S + 1
    assert KEPT_S == sum(counted.before(START_MS // 1000 + 500))


@given(some.lists(some.floats(0.6, 30_000), min_size=1, max_size=200), some.floats(0.01, 1.0))
def test_a_percentile_is_right_to_within_a_bucket(durations_ms: list[float], share: float) -> None:
    recent = RecentDurations()
    for ms in durations_ms:
        recent.add(ms)
    found = percentile_ms(recent.turn(), share)
    ordered = sorted(durations_ms)
    exact = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
    assert found is not None
    assert exact / GROWTH / 1.001 <= found <= exact * GROWTH * 1.001


def histogram_quantile(share: float, counts: list[int]) -> float:
    """What Prometheus's function of this name says of durations in these buckets."""
    rank, below, low_s = share * sum(counts), 0, 0.0
    for bound_s, count in zip(LATENCY_BUCKETS_S, counts, strict=False):
        if below + count >= rank:
            return low_s + (bound_s - low_s) * (rank - below) / count
        below, low_s = below + count, bound_s
    return low_s


@given(some.lists(some.floats(0.0001, 60), min_size=1, max_size=200), some.sampled_from([0.5, 0.99]))
def test_a_percentile_is_what_the_board_says_of_the_same_requests(durations_s: list[float], share: float) -> None:
    """Its panels ask Prometheus for the quantiles of the metrics' buckets."""
    counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
    for seconds in durations_s:
        counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
    recent = RecentDurations()
    recent.add_buckets(LATENCY_BUCKETS_S, counts)
    assert percentile_ms(recent.turn(), share) == pytest.approx(1000 * histogram_quantile(share, counts))


def test_durations_are_forgotten() -> None:
    recent = RecentDurations()
    recent.add(5.0)
    assert [1] * RECENT_S == [sum(count for _, count in recent.turn()) for _ in range(RECENT_S)]
    assert [] == recent.turn()


def test_what_took_longer_than_all_buckets_counts_as_longest() -> None:
    recent = RecentDurations()
    recent.add_buckets((0.1,), (1, 1))
    assert [(100.0, 1), (LONGER, 1)] == recent.turn()
    assert BOUNDS_MS[-1] == percentile_ms([(100.0, 1), (LONGER, 1)], 0.99)


def test_durations_of_processes_with_other_buckets_add_up() -> None:
    assert [(5.0, 3), (10.0, 1)] == summed([[(5.0, 1)], [(10.0, 1), (5.0, 2)]])
    assert None is percentile_ms([], 0.5)
