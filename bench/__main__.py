"""`python -m bench`, also `autobatch bench`: the proxy against its upstream, side by side in one run.

Single-input requests in a closed loop, direct and through the proxy in alternating rounds. The upstream costs next
to nothing, so what is left is what the proxy costs. The load tool runs on the same cores.
"""

import json
import statistics
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import closed_loop
from bench.system import HOST, System, started

SIDES = ("direct", "proxy")


class Loop(StrEnum):
    """Event loops."""

    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


def main(
    *,
    concurrency: Annotated[list[int], typer.Option(help="Requests in flight; give it several times.")] = [1, 64, 512],  # noqa: B006 - typer's way
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of one round.")] = 4.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each side.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Proxy workers.")] = 2,
    upstream_loop: Annotated[
        Loop, typer.Option(help="Event loop of the upstream; on uvloop it costs less and is harder to keep up with.")
    ] = Loop.ASYNCIO,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measure what the proxy costs, against an upstream that answers at once. Exit status 1 if any answer was wrong."""
    to_people = Console(stderr=as_json)
    with started(workers, upstream_loop) as system:
        plan = [(c, side) for c in concurrency for _ in range(rounds) for side in SIDES]
        runs = [
            _measure(system, side, c, seconds)
            for c, side in track(plan, "measuring", console=to_people, transient=True)
        ]
    rows = [_row(c, [run for run in runs if run["concurrency"] == c]) for c in concurrency]
    if as_json:
        json.dump({"rows": rows, "runs": runs}, sys.stdout, indent=2)
    else:
        to_people.print(_table(rows))
        to_people.print(_cpu_table(rows))
    bad = sum(run["wrong"] + run["failed"] for run in runs)
    to_people.print(f"{sum(run['right'] for run in runs)} answers were right, {bad} wrong or failed")
    raise typer.Exit(1 if bad else 0)


def _measure(system: System, side: str, concurrency: int, seconds: float) -> dict[str, Any]:
    port = system.direct_port if side == "direct" else system.proxy_port
    before = system.cpu_seconds()
    outcome = uvloop.run(closed_loop.run(HOST, port, concurrency=concurrency, seconds=seconds))
    right = max(1, len(outcome.latencies_s))
    after = system.cpu_seconds()
    return {
        "side": side,
        "concurrency": concurrency,
        "per_second": outcome.per_second,
        "p50_ms": outcome.percentile_ms(0.5),
        "p99_ms": outcome.percentile_ms(0.99),
        "right": len(outcome.latencies_s),
        "wrong": outcome.wrong,
        "failed": outcome.failed,
        "cpu_us_per_request": {role: (after[role] - before[role]) / right * 1e6 for role in before},
    }


def _row(concurrency: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; the ratio is that of neighbouring rounds, which saw the same machine."""
    direct, proxy = ([run for run in runs if run["side"] == side] for side in SIDES)
    ratios = [p["per_second"] / d["per_second"] for d, p in zip(direct, proxy, strict=True)]
    added = [p["p50_ms"] - d["p50_ms"] for d, p in zip(direct, proxy, strict=True)]
    return {
        "concurrency": concurrency,
        "direct_per_second": _median(direct, "per_second"),
        "proxy_per_second": _median(proxy, "per_second"),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "direct_p50_ms": _median(direct, "p50_ms"),
        "proxy_p50_ms": _median(proxy, "p50_ms"),
        "added_p50_ms": statistics.median(added),
        "direct_p99_ms": _median(direct, "p99_ms"),
        "proxy_p99_ms": _median(proxy, "p99_ms"),
        "cpu_us_per_request": {
            role: statistics.median(run["cpu_us_per_request"][role] for run in proxy)
            for role in proxy[0]["cpu_us_per_request"]
        },
    }


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return float(statistics.median(run[name] for run in runs))


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="single-input requests, instant upstream, closed loop")
    for column in ("in flight", "", "req/s", "p50 ms", "p99 ms", "proxy / direct (min-max)", "added p50"):
        table.add_column(column, justify="right")
    for row in rows:
        for side in SIDES:
            compared = (
                ("", "")
                if side == "direct"
                else (
                    f"{row['ratio']:.2f} ({row['ratio_min']:.2f}-{row['ratio_max']:.2f})",
                    f"{row['added_p50_ms']:.2f} ms",
                )
            )
            table.add_row(
                str(row["concurrency"]),
                side,
                f"{row[side + '_per_second']:,.0f}",
                f"{row[side + '_p50_ms']:.2f}",
                f"{row[side + '_p99_ms']:.2f}",
                *compared,
            )
    return table


def _cpu_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="CPU through the proxy, microseconds a request")
    roles = list(rows[0]["cpu_us_per_request"])
    for column in ("in flight", *roles):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(str(row["concurrency"]), *(f"{row['cpu_us_per_request'][role]:.0f}" for role in roles))
    return table


if __name__ == "__main__":
    typer.run(main)
