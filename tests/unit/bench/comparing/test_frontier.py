"""The frontier: what is done within each bound of latency."""

from autobatch_bench.comparing.frontier import frontier
from autobatch_bench.comparing.rounds import Point, summed_up
from autobatch_bench.load.outcome import LoadOutcome


def point(in_flight: int, answers: int, latency_s: float) -> Point:
    outcome = LoadOutcome(1.0, [latency_s] * answers)
    return Point(in_flight, [{"proxy": summed_up("proxy", "short", "closed", outcome, {})}])


def test_the_best_of_the_points_within_the_bound_counts() -> None:
    found = frontier([point(1, 300, 0.002), point(64, 900, 0.02), point(512, 800, 0.4)], "proxy")
    assert (found[1.0], found[5.0], found[10.0], found[50.0], found[500.0]) == (0.0, 300.0, 300.0, 900.0, 900.0)


def test_a_side_without_right_answers_keeps_no_bound() -> None:
    assert set(frontier([point(1, 0, 0.0)], "proxy").values()) == {0.0}
