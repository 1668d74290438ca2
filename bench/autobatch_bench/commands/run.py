"""`autobatch bench run`: the proxy against one upstream, both started here, side by side in alternating rounds.

The `instant` upstream costs almost nothing, so the figures show what the proxy costs. The load generator runs on the
same cores as the system that it measures.
"""

import itertools
from typing import Annotated

import typer
from rich.console import Console

from autobatch_bench.commands import (
    JsonOption,
    RepeatOption,
    RoundsOption,
    SecondsOption,
    UpstreamOption,
    WordsOption,
    WorkersOption,
)
from autobatch_bench.comparing.rounds import Point, Round
from autobatch_bench.load.workloads import WorkloadKind, make
from autobatch_bench.report import grids, terminal
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.system import Loop, ProxyPlan, UpstreamKind, started

CONCURRENCIES = (1, 64, 512)
SIDES = ("direct", "proxy")


def run(  # noqa: PLR0913 - options of a command
    *,
    upstream: UpstreamOption = UpstreamKind.INSTANT,
    workload: Annotated[WorkloadKind, typer.Option(help="What is sent.")] = WorkloadKind.SHORT,
    words: WordsOption = 64,
    concurrency: Annotated[
        list[int] | None, typer.Option(min=1, help="Requests in flight; give it several times. [default: 1 64 512]")
    ] = None,
    open_rate: Annotated[
        list[float] | None,
        typer.Option(min=0.1, help="Arrivals a second, in an open loop instead; give it several times."),
    ] = None,
    repeat_share: RepeatOption = 0.0,
    seconds: SecondsOption = 4.0,
    rounds: RoundsOption = 3,
    workers: WorkersOption = 2,
    upstream_loop: Annotated[
        Loop, typer.Option(help="Event loop of the fakes; on uvloop they cost less and are harder to keep up with.")
    ] = Loop.ASYNCIO,
    as_json: JsonOption = False,
) -> None:
    """Measure an upstream directly and through the proxy, both started here.

    Exit status 1 if any answer was wrong or failed.
    """
    console = Console(stderr=as_json)
    sent = make(workload, words=words)
    loads = open_rate or concurrency or CONCURRENCIES
    seeds = itertools.count()
    with (
        started(upstream, upstream_loop, (ProxyPlan(workers=workers),)) as sides,
        terminal.progress(console, len(SIDES) * (1 + rounds * len(loads))) as told,
    ):
        rig = Rig(sides, is_fake=upstream is not UpstreamKind.EMBEDDER, told=told, repeat_share=repeat_share)
        rig.warm_up()

        def measured(load: float) -> Point:
            seed = next(seeds)

            def measure(side: str) -> Round:
                if open_rate:
                    return rig.open(side, sent, load, seconds, seed)
                return rig.closed(side, sent, int(load), seconds)

            return rig.alternate(load, SIDES, rounds, measure)

        points = [measured(load) for load in loads]
    x_name, kind = ("arrivals/s", "open loop") if open_rate else ("in flight", "closed loop")
    title = f"{sent.name} on the {upstream} upstream, {kind}"
    shown = [grids.throughput(title, x_name, points), grids.cpu("CPU through the proxy, us a request", x_name, points)]
    raise typer.Exit(0 if terminal.conclude(console, points, rig.rounds, shown, as_json=as_json) else 1)
