"""`autobatch bench beside`: proxies of others beside ours, before the same upstream, in alternating rounds of one run."""

from typing import Annotated

import typer
from rich.console import Console

from autobatch_bench.checking.checks import DIFFERENCE_MAX
from autobatch_bench.commands import (
    JsonOption,
    RepeatOption,
    RoundsOption,
    SecondsOption,
    UpstreamOption,
    WordsOption,
    WorkersOption,
    pair,
    refuse_others,
)
from autobatch_bench.load import asking
from autobatch_bench.load.asking import Api
from autobatch_bench.load.workloads import WorkloadKind, make
from autobatch_bench.report import grids, terminal
from autobatch_bench.systems.outsider import Outsider
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.system import Loop, ProxyPlan, UpstreamKind, started

CONCURRENCIES = (1, 16, 64, 256, 512)
KINDS = (WorkloadKind.SHORT, WorkloadKind.FIXED, WorkloadKind.MIXED)  # one text a request


def beside(  # noqa: PLR0913 - options of a command
    *,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="NAME=COMMAND of another proxy; {port}: where it listens, {upstream}: what it calls."),
    ] = None,
    upstream: UpstreamOption = UpstreamKind.INSTANT,
    upstream_command: Annotated[
        str,
        typer.Option(
            help="What answers in the end, instead: its command; {port}: where it listens, {grpc_port}: for gRPC."
        ),
    ] = "",
    api: Annotated[
        Api, typer.Option(help="What that speaks; triton: KServe v2, over HTTP where it is measured directly.")
    ] = Api.TEI,
    model: Annotated[str, typer.Option(help="What it calls its model, where its API needs that.")] = "",
    workload: Annotated[
        list[WorkloadKind] | None,
        typer.Option(help="What is sent: short, fixed or mixed; several times. [default: short]"),
    ] = None,
    words: WordsOption = 64,
    concurrency: Annotated[
        list[int] | None, typer.Option(min=1, help="Requests in flight; several times. [default: 1 16 64 256 512]")
    ] = None,
    repeat_share: RepeatOption = 0.0,
    batchers: Annotated[int, typer.Option(min=1, help="Batchers of ours.")] = 1,
    nginx: Annotated[bool, typer.Option("--nginx", help="Measure ours behind nginx, too.")] = False,
    setting: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of our proxy and batcher; several times.")
    ] = None,
    difference_max: Annotated[
        float, typer.Option(min=0, help="What a number of a vector may differ by, with other texts in the batch.")
    ] = DIFFERENCE_MAX,
    seconds: SecondsOption = 3.0,
    rounds: RoundsOption = 3,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure an upstream directly, through ours and through others. Exit status 1 if any answer was wrong or failed.

    Every request has one text: in a list, which every proxy takes, or of `/v1/embeddings` where the upstream has that.
    """
    kinds = workload or [WorkloadKind.SHORT]
    refuse_others(kinds, KINDS)
    console = Console(stderr=as_json)
    direct = asking.direct(api, model)
    form = direct if api is Api.OPENAI else asking.TEI_LISTED
    workloads = [make(kind, words=words, form=form) for kind in kinds]
    peers = [Outsider(*pair(each, "--peer")) for each in peer or ()]
    plan = ProxyPlan(
        settings=({"UPSTREAM_MODEL": model} if model else {}) | dict(pair(each, "--setting") for each in setting or ()),
        workers=workers,
        batchers=batchers,
        has_nginx=nginx,
    )
    answering = Outsider("upstream", upstream_command) if upstream_command else upstream
    with (
        started(answering, Loop.UVLOOP, (plan,), peers) as sides,
        terminal.progress(console, None) as told,
    ):
        is_fake = not upstream_command and upstream is not UpstreamKind.EMBEDDER
        rig = Rig(
            sides,
            is_fake=is_fake,
            told=told,
            repeat_share=repeat_share,
            forms={} if api is Api.TEI else {"direct": direct},
            difference_max=difference_max,
        )

        points = rig.closed_loops(workloads, concurrency or CONCURRENCIES, rounds, seconds)
    name = upstream_command or f"the {upstream} upstream"
    shown = [grids.beside(f"{sent} on {name}, closed loop", each, tuple(sides)) for sent, each in points.items()]
    shown += [
        grids.cost(f"{sent}: CPU microseconds a request, upstream and load tool not counted", each, tuple(sides))
        for sent, each in points.items()
    ]
    shown += [
        grids.frontiers(f"{sent}: the most requests a second within a bound of p99", each, tuple(sides))
        for sent, each in points.items()
    ]
    every = [point for each in points.values() for point in each]
    raise typer.Exit(0 if terminal.conclude(console, every, rig.rounds, shown, as_json=as_json) else 1)
