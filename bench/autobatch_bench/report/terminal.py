"""What the commands say in a terminal: progress, tables, and at the end whether every answer was right."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from autobatch_bench.comparing.promises import GROUPS, TargetResult
from autobatch_bench.comparing.rounds import Point, Round, faults, neighbours
from autobatch_bench.report.grids import Grid

COLOURS = {"ok": "green", "missed": "red", "not measured": "yellow"}


@contextmanager
def progress(console: Console, rounds: int | None) -> Iterator[Callable[[Round], None]]:
    """Show a bar, or a count if the number of rounds is not known; yield the function to call with each round."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("starting", total=rounds)

        def told(done: Round) -> None:
            shown.update(task, advance=1, description=f"{done.side}, {done.workload}, {done.load}")

        yield told


def table(grid: Grid) -> Table:
    """A grid for the terminal."""
    made = Table(title=grid.title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in grid.columns:
        made.add_column(column, justify="right", overflow="fold")
    for row in grid.rows:
        made.add_row(*row)
    return made


def verdicts(found: Sequence[TargetResult]) -> Table:
    """All targets in one table."""
    made = Table(title="targets: median (least to most) over the rounds", title_justify="left", box=box.SIMPLE)
    for column in ("target", "figure", "bound", "verdict"):
        made.add_column(column, justify="left" if column == "target" else "right")
    group = ""
    for verdict in found:
        target = verdict.target
        if target.group != group:
            group = target.group
            made.add_section()
            made.add_row(f"[bold]{group} {GROUPS[group]}", "", "", "")
        bound = f"{'<=' if target.is_most else '>='} {target.bound:g} {target.unit}"
        figure = str(verdict.figure) if verdict.figure else verdict.note
        made.add_row(target.what, figure, bound, f"[{COLOURS[verdict.text]}]{verdict.text}")
    return made


def say_whether_right(console: Console, rounds: Sequence[Round]) -> bool:
    """Print how many answers were right, and what the others were; return whether all were right."""
    bad = sum(each.bad for each in rounds)
    refused = sum(each.refused for each in rounds)
    late = sum(each.late for each in rounds)
    console.print(f"{sum(each.right for each in rounds):,} answers were right, {bad:,} wrong or failed")
    for line in faults(rounds):
        console.print(f"  {line}", style="red")
    if refused:
        console.print(f"  the upstream itself refused {refused:,} direct requests with 429")
    if others := neighbours(rounds):
        console.print(f"  {others}", style="yellow", highlight=False, markup=False)
    if late:
        console.print(f"  the load tool itself sent {late:,} requests more than 5 ms late")
    return not bad


def conclude(
    console: Console, points: Sequence[Point], rounds: Sequence[Round], shown: Sequence[Grid], *, as_json: bool
) -> bool:
    """Print what was measured, as tables or as JSON; return whether all answers were right."""
    if as_json:
        print_json({"points": points, "rounds": rounds})
    else:
        for grid in shown:
            console.print(table(grid))
    return say_whether_right(console, rounds)


def print_json(value: object) -> None:
    """Print one JSON object on standard output."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.flush()
