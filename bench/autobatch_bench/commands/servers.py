"""`autobatch bench servers`: embedding servers beside each other, in alternating rounds of one run."""

from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console

from autobatch_bench.checking.checks import DIFFERENCE_MAX
from autobatch_bench.commands import (
    JsonOption,
    RoundsOption,
    SecondsOption,
    WordsOption,
    WorkersOption,
    pair,
    refuse_others,
)
from autobatch_bench.load import asking
from autobatch_bench.load.workloads import WorkloadKind, make
from autobatch_bench.report import grids, terminal
from autobatch_bench.systems.outsider import Outsider
from autobatch_bench.systems.process_stats import memory_mb
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.system import Loop, ProxyPlan, Side, started

CONCURRENCIES = (1, 64)
KINDS = (WorkloadKind.SHORT, WorkloadKind.FIXED, WorkloadKind.MIXED, WorkloadKind.SEVERAL)


def servers(  # noqa: PLR0913 - options of a command
    *,
    server: Annotated[
        list[str],
        typer.Option(
            help="NAME=COMMAND of a server; {port}: where it listens. The others are compared with the first."
        ),
    ],
    through: Annotated[
        list[str] | None, typer.Option(help="NAME of a server that is also measured through our proxy; several times.")
    ] = None,
    openai: Annotated[
        list[str] | None, typer.Option(help="NAME=MODEL of a server that speaks OpenAI's API instead of TEI's.")
    ] = None,
    workload: Annotated[
        list[WorkloadKind] | None,
        typer.Option(help="What is sent: short, fixed, mixed or several; several times. [default: short]"),
    ] = None,
    words: WordsOption = 64,
    concurrency: Annotated[
        list[int] | None, typer.Option(min=1, help="Requests in flight; several times. [default: 1 64]")
    ] = None,
    difference_max: Annotated[
        float, typer.Option(min=0, help="What a number of a vector may differ by from the first server's.")
    ] = DIFFERENCE_MAX,
    difference_max_of: Annotated[
        list[str] | None,
        typer.Option(help="NAME=NUMBER instead, for a server of another exactness, such as int8; several times."),
    ] = None,
    seconds: SecondsOption = 3.0,
    rounds: RoundsOption = 3,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure servers of the same model directly, and some of them through our proxy.

    Every status is checked, and samples of the vectors against those of the first server for each text alone. Exit
    status 1 if any answer was wrong or failed.
    """
    kinds = workload or [WorkloadKind.SHORT]
    refuse_others(kinds, KINDS)
    programs = [Outsider(*pair(each, "--server")) for each in server]
    proxied = set(through or ())
    models = dict(pair(each, "--openai") for each in openai or ())
    inexact = dict(pair(each, "--difference-max-of") for each in difference_max_of or ())
    if unknown := sorted((proxied | set(models) | set(inexact)) - {each.name for each in programs}):
        raise typer.BadParameter(
            f"no --server is called {unknown[0]}", param_hint="--through, --openai, --difference-max-of"
        )
    try:
        differences_max = {side: float(number) for name, number in inexact.items() for side in (name, _through(name))}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--difference-max-of") from error
    console = Console(stderr=as_json)
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        for program in programs:
            model = models.get(program.name, "")
            plan = ProxyPlan(settings={"UPSTREAM_MODEL": model} if model else {}, workers=workers)
            plans = (plan,) if program.name in proxied else ()
            system = stack.enter_context(started(program, Loop.UVLOOP, plans))
            sides[program.name] = system["direct"]
            if plans:
                sides[_through(program.name)] = system["proxy"]
        rig = Rig(
            sides,
            is_fake=False,
            told=stack.enter_context(terminal.progress(console, None)),
            reference=programs[0].name,
            forms={name: asking.openai(model, "base64") for name, model in models.items()},
            difference_max=difference_max,
            differences_max=differences_max,
        )

        workloads = [make(kind, words=words, form=asking.TEI_LISTED) for kind in kinds]
        points = rig.closed_loops(workloads, concurrency or CONCURRENCIES, rounds, seconds)
        computing = {each.name: sides[each.name].pids["upstream"] for each in programs}
        memory = {field: memory_mb(computing, field) for field in ("VmRSS", "VmHWM")}
    first = programs[0].name
    shown = [grids.beside(f"{name}, closed loop", each, tuple(sides), first) for name, each in points.items()]
    shown += [
        grids.computing(f"{name}: CPU milliseconds a request of the server", each, tuple(sides))
        for name, each in points.items()
    ]
    shown.append(grids.memory("memory of the servers at the end", memory))
    every = [point for each in points.values() for point in each]
    raise typer.Exit(0 if terminal.conclude(console, every, rig.rounds, shown, as_json=as_json) else 1)


def _through(name: str) -> str:
    """The name of a server's side behind our proxy."""
    return f"{name} through the proxy"
