"""How much a system does within a bound of latency: one row of figures instead of one number. Pure."""

from collections.abc import Sequence

from autobatch_bench.comparing.rounds import Point, of

P99_BOUNDS_MS = (1.0, 5.0, 10.0, 50.0, 100.0, 500.0)


def frontier(points: Sequence[Point], side: str) -> dict[float, float]:
    """Return for each bound of p99, in ms, the most right answers a second at any of the points that keep it; 0: none does."""
    return {
        bound_ms: max(
            (
                of(point.pairs, side, "per_second").median
                for point in points
                if 0 < of(point.pairs, side, "p99_ms").median <= bound_ms
            ),
            default=0.0,
        )
        for bound_ms in P99_BOUNDS_MS
    }
