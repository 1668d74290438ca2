"""`autobatch bench targets`: what autobatch promises to reach, measured here and now."""

from typing import Annotated

import typer
from rich.console import Console

from autobatch_bench.commands import JsonOption, RoundsOption, SecondsOption, WorkersOption
from autobatch_bench.comparing import target_systems
from autobatch_bench.comparing.promises import GROUPS, asides, evaluate
from autobatch_bench.report import terminal


def targets(
    *,
    only: Annotated[str, typer.Option(help="Groups to measure, such as T1,T3.")] = ",".join(GROUPS),
    seconds: SecondsOption = 3.0,
    rounds: RoundsOption = 3,
    workers: WorkersOption = 2,
    soak_minutes: Annotated[float, typer.Option(min=0, help="Length of T5's soak; 0: none.")] = 0.0,
    full: Annotated[bool, typer.Option("--full", help="Measure T4 on the embedder, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the targets. A missed target is a result; exit status 1 if any answer was wrong or failed."""
    groups = [group for group in GROUPS if group in only.upper().split(",")]
    unknown = set(only.upper().split(",")) - set(GROUPS)
    if unknown:
        raise typer.BadParameter(f"no such group: {', '.join(sorted(unknown))}", param_hint="--only")
    console = Console(stderr=as_json)
    options = target_systems.TargetOptions(groups, seconds, rounds, workers, soak_minutes, full)
    with terminal.progress(console, None) as told:
        figures, done = target_systems.measure(options, told)
    verdicts = evaluate(figures, groups)
    if as_json:
        terminal.print_json({"verdicts": verdicts, "asides": asides(figures), "rounds": done})
    else:
        console.print(terminal.verdicts(verdicts))
        for line in asides(figures):
            console.print(line, highlight=False)
    raise typer.Exit(0 if terminal.say_whether_right(console, done) else 1)
