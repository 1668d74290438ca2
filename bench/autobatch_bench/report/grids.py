"""Tables as text, for a terminal or a page. Pure."""

from collections.abc import Callable, Sequence

import msgspec

from autobatch_bench.comparing.frontier import P99_BOUNDS_MS, frontier
from autobatch_bench.comparing.promises import TargetResult
from autobatch_bench.comparing.rounds import Point, cpu_us, difference, of, ratio
from autobatch_bench.comparing.sides import Comparison

SIDES = ("direct", "proxy")
NO_PROXY = ("load tool", "upstream")  # roles whose CPU is not what a proxy costs


class Grid(msgspec.Struct, frozen=True):
    """One table."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def throughput(title: str, x_name: str, points: Sequence[Point]) -> Grid:
    """Both sides at every point: rates, latencies, ratios within pairs of rounds, and the upstream's 429s per round."""
    columns: tuple[str, ...] = (
        x_name,
        "",
        "req/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "proxy / direct",
        "added p50",
        "refused",
    )
    rows = [_side_row(point, side) for point in points for side in SIDES]
    if not any(row[-1] for row in rows):  # no request was refused: the usual case
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Grid(title, columns, rows)


def beside(title: str, points: Sequence[Point], sides: Sequence[str], reference: str = "direct") -> Grid:
    """Any number of sides at every point: rates, latencies, and both as multiples of one side's; medians."""
    rows = []
    for point in points:
        for side in sides:
            figures = [of(point.pairs, side, name).median for name in ("per_second", "p50_ms", "p99_ms")]
            multiples = [ratio(point.pairs, side, reference, name).median for name in ("per_second", "p99_ms")]
            compared = [f"{each:.2f}" for each in multiples] if side != reference else ["", ""]
            at = shown_x(point.x) if side == sides[0] else ""
            rows.append((at, side, f"{figures[0]:,.0f}", *(f"{each:,.2f}" for each in figures[1:]), *compared))
    columns = ("in flight", "", "req/s", "p50 ms", "p99 ms", f"req/s / {reference}", f"p99 / {reference}")
    return Grid(title, columns, rows)


def cost(title: str, points: Sequence[Point], sides: Sequence[str]) -> Grid:
    """CPU microseconds a request of everything between the load tool and the upstream, by role; medians."""
    used = {
        (point.x, side): {role: each.median for role, each in cpu_us(point.pairs, side).items() if role not in NO_PROXY}
        for point in points
        for side in sides
        if side != "direct"
    }
    roles = list(dict.fromkeys(role for each in used.values() for role in each))
    rows = [
        (
            shown_x(x),
            side,
            f"{sum(each.values()):,.0f}",
            *(f"{each[role]:,.0f}" if role in each else "" for role in roles),
        )
        for (x, side), each in used.items()
    ]
    return Grid(title, ("in flight", "", "all", *roles), rows if roles else [])


def computing(title: str, points: Sequence[Point], sides: Sequence[str]) -> Grid:
    """CPU milliseconds a request of the server that computes; medians."""
    rows = [
        (shown_x(point.x), side, f"{used['upstream'].median / 1000:,.2f}")
        for point in points
        for side in sides
        if "upstream" in (used := cpu_us(point.pairs, side))
    ]
    return Grid(title, ("in flight", "", "ms"), rows)


def frontiers(title: str, points: Sequence[Point], sides: Sequence[str]) -> Grid:
    """The most requests a second that each side did within each bound of p99."""
    columns = ("", *(f"p99 <= {bound_ms:g} ms" for bound_ms in P99_BOUNDS_MS))
    rows = [(side, *(f"{rate:,.0f}" if rate else "-" for rate in frontier(points, side).values())) for side in sides]
    return Grid(title, columns, rows)


def bursts(title: str, points: Sequence[Point]) -> Grid:
    """The time until all were answered."""
    columns = ("at once", "direct ms", "proxy ms", "direct / proxy", "refused (429)")
    rows = []
    for point in points:
        refused = sum(pair["direct"].refused for pair in point.pairs) / len(point.pairs)
        rows.append(
            (
                shown_x(point.x),
                f"{of(point.pairs, 'direct', 'seconds').median * 1000:,.1f}",
                f"{of(point.pairs, 'proxy', 'seconds').median * 1000:,.1f}",
                str(ratio(point.pairs, "direct", "proxy", "seconds")),
                f"{refused:,.0f}" if refused else "",
            )
        )
    return Grid(title, columns, rows)


def cpu(title: str, x_name: str, points: Sequence[Point]) -> Grid:
    """CPU microseconds per request of each process, through the proxy; medians."""
    roles = list(cpu_us(points[0].pairs, "proxy")) if points else []
    rows = [
        (shown_x(point.x), *(f"{each.median:,.0f}" for each in cpu_us(point.pairs, "proxy").values()))
        for point in points
    ]
    return Grid(title, (x_name, *roles), rows if roles else [])


def batches(title: str, buckets: dict[str, float]) -> Grid:
    """How many batches had how many inputs."""
    total = sum(buckets.values()) or 1.0
    rows = [(f"up to {bound}", f"{count:,.0f}", f"{count / total:.1%}") for bound, count in buckets.items()]
    return Grid(title, ("inputs", "batches", "share"), rows)


def memory(title: str, memory_mb: dict[str, dict[str, float]]) -> Grid:
    """Resident memory of each role's largest process."""
    roles = list(memory_mb["VmRSS"]) if memory_mb else []
    rows = [(role, *(f"{memory_mb[field][role]:,.0f}" for field in ("VmRSS", "VmHWM"))) for role in roles]
    return Grid(title, ("process", "VmRSS MB", "VmHWM MB"), rows)


def parts(title: str, parts_ms: dict[str, float]) -> Grid:
    """Where a request's time goes."""
    return Grid(title, ("part", "median ms"), [(name, f"{ms:.2f}") for name, ms in parts_ms.items()])


def verdicts(found: Sequence[TargetResult]) -> Grid:
    """Every target, its figure and its bound."""
    rows = [
        (
            f"{each.target.group}: {each.target.what}",
            str(each.figure) if each.figure else each.note,
            f"{'at most' if each.target.is_most else 'at least'} {each.target.bound:g} {each.target.unit}",
            each.text,
        )
        for each in found
    ]
    return Grid("Targets: median (least to most) over the rounds", ("target", "figure", "bound", "verdict"), rows)


def of_comparison(comparison: Comparison) -> dict[str, Grid]:
    """Every table of a comparison, by the name of what it shows."""
    name, load = comparison.upstream, comparison.workload
    made: dict[str, Callable[[], Grid]] = {
        "bursts": lambda: bursts(f"{name}: N requests at the same moment ({load})", comparison.bursts),
        "concurrency": lambda: throughput(
            f"{name}: by requests in flight ({load}, closed loop)", "in flight", comparison.concurrency
        ),
        "cpu": lambda: cpu(
            f"{name}: CPU through the proxy, microseconds a request ({load})", "in flight", comparison.concurrency
        ),
        "rates": lambda: throughput(f"{name}: by offered rate ({load}, open loop)", "arrivals/s", comparison.rates),
        "lengths": lambda: throughput(f"{name}: by text length (64 in flight)", "words", comparison.lengths),
        "workloads": lambda: throughput(f"{name}: by workload (64 in flight)", "workload", comparison.workloads),
        "batches": lambda: batches(f"{name}: inputs in a batch, over all of these runs", comparison.batches),
        "memory": lambda: memory(f"{name}: memory after all of these runs", comparison.memory_mb),
        "parts": lambda: parts(f"{name}: where a request's time goes ({load}, 8 in flight)", comparison.parts_ms),
    }
    grids = {key: make() for key, make in made.items()}
    return {key: grid for key, grid in grids.items() if grid.rows}


def _side_row(point: Point, side: str) -> tuple[str, ...]:
    pairs = point.pairs
    refused = sum(pair[side].refused for pair in pairs) / len(pairs)
    compared = (
        ("", "")
        if side == "direct"
        else (
            str(ratio(pairs, "proxy", "direct")),
            f"{difference(pairs, 'proxy', 'direct', 'p50_ms').median:,.2f} ms",
        )
    )
    return (
        shown_x(point.x) if side == "direct" else "",
        side,
        f"{of(pairs, side, 'per_second').median:,.0f}",
        *(f"{of(pairs, side, name).median:,.2f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
        *compared,
        f"{refused:,.0f}" if refused else "",
    )


def shown_x(x: float | str) -> str:
    """Return a point's place: the name of a workload, or a number."""
    return x if isinstance(x, str) else f"{x:,.0f}"
