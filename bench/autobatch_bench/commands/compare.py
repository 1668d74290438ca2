"""`autobatch bench compare`: running servers under every kind of load, side by side."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from autobatch_bench.commands import JsonOption, OnlyOption, RoundsOption, SecondsOption, endpoint_of
from autobatch_bench.comparing.sides import BURSTS, CONCURRENCIES, ComparisonOptions, Varied
from autobatch_bench.comparing.sides import compare as compare_all
from autobatch_bench.load.plain_http import AnswerError, read
from autobatch_bench.load.traffic import Endpoint
from autobatch_bench.load.workloads import WorkloadKind, make
from autobatch_bench.report import gains, grids, terminal
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.system import Side

FAKE = '"bench/'  # in the fakes' /info: their vectors are the oracle's


def _listed(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def compare(  # noqa: PLR0913 - options of a command
    *,
    direct: Annotated[str, typer.Option(help="URL of the upstream.")],
    proxy: Annotated[str, typer.Option(help="URL of the proxy, usually nginx's.")],
    proxy_worker: Annotated[
        str | None, typer.Option(help="URL of the workers' own port, if --proxy is nginx's; tells the two apart.")
    ] = None,
    batcher_metrics: Annotated[str | None, typer.Option(help="URL of a batcher's own port, for batch sizes.")] = None,
    workload: Annotated[WorkloadKind, typer.Option(help="What is sent.")] = WorkloadKind.SHORT,
    n: Annotated[
        list[int] | None,
        typer.Option("--n", min=1, help=f"Requests at the same moment; several times. [default: {_listed(BURSTS)}]"),
    ] = None,
    concurrency: Annotated[
        list[int] | None,
        typer.Option(min=1, help=f"Requests in flight; several times. [default: {_listed(CONCURRENCIES)}]"),
    ] = None,
    seconds: SecondsOption = 3.0,
    rounds: RoundsOption = 3,
    only: OnlyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare an upstream and a proxy in front of it. Exit status 1 if any answer was wrong or failed."""
    console = Console(stderr=as_json)
    sides = sides_of(direct, proxy, proxy_worker, batcher_metrics)
    try:
        is_fake = FAKE in read(sides["direct"].target, "/info")
    except AnswerError as error:
        raise typer.BadParameter(str(error), param_hint="--direct") from error
    with terminal.progress(console, None) as told:
        rig = Rig(sides, is_fake=is_fake, told=told)
        try:
            rig.warm_up()
        except OSError as error:  # --direct has answered
            raise AnswerError(f"{' or '.join(filter(None, (proxy, proxy_worker)))}: {error}") from error
        found = compare_all(
            rig,
            direct,
            make(workload),
            ComparisonOptions(seconds, rounds, only or tuple(Varied), n or BURSTS, concurrency or CONCURRENCIES),
        )
    if as_json:
        terminal.print_json({"comparison": found, "rounds": rig.rounds})
    else:
        for grid in grids.of_comparison(found).values():
            console.print(terminal.table(grid))
        for line in gains.without_gain(found):
            console.print(f"no gain: {line}")
    raise typer.Exit(0 if terminal.say_whether_right(console, rig.rounds) else 1)


def sides_of(direct: str, proxy: str, proxy_worker: str | None, batcher_metrics: str | None) -> dict[str, Side]:
    """Return the sides for these URLs.

    If the workers' own port is given, it is `proxy`, and the public URL is `nginx`.
    """
    metrics = _target(batcher_metrics) if batcher_metrics else None
    sides = {"direct": Side(_target(direct), {})}
    sides["proxy"] = Side(_target(proxy_worker or proxy), {}, metrics)
    if proxy_worker:
        sides["nginx"] = Side(_target(proxy), {}, metrics)
    return sides


def _target(url: str) -> Endpoint:
    target, path = endpoint_of(url)
    if path:
        raise typer.BadParameter(f"{url}: must be http://host:port, without a path")
    return target
