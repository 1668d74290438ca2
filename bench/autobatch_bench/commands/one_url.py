"""`autobatch bench load`: one URL under load, shown while it runs: how many answers, how long they take, and with which status."""

import asyncio
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from autobatch_bench.commands import JsonOption, endpoint_of
from autobatch_bench.load import closed_loop
from autobatch_bench.load.asking import TEI, Form, openai
from autobatch_bench.load.outcome import NO_ANSWER, LoadOutcome, percentile_ms
from autobatch_bench.load.plain_http import AnswerError
from autobatch_bench.load.traffic import Endpoint, Traffic
from autobatch_bench.load.workloads import Workload, WorkloadKind, make, of_texts
from autobatch_bench.report import terminal
from autobatch_bench.report.histogram import histogram
from autobatch_bench.systems.neighbours import all_processes, busiest
from autobatch_shared.measuring.text_file import TextsError, read_texts

LOOK_S = 0.5  # at the neighbours, before any load
DRAWN_EVERY_S = 0.25


class NoCheck:
    """Takes every answer of status 200: what the right vector is only the server knows."""

    def looks_right(self, _serial: int, _body: bytes) -> bool:
        """Return True."""
        return True

    def wrong_after_all(self) -> int:
        """Return 0."""
        return 0


def load(
    *,
    url: Annotated[str, typer.Argument(help="http://host:port, with the route behind it or in --route.")],
    route: Annotated[
        str | None,
        typer.Option(help="Where requests go; one that ends with /embeddings is OpenAI's. [default: /embed]"),
    ] = None,
    model: Annotated[str, typer.Option(help="`model` of OpenAI's requests.")] = "default",
    api_key: Annotated[str | None, typer.Option(help="Sent as a bearer token.", envvar="API_KEY")] = None,
    texts: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="What is sent: one text a line, as it is or as a JSON string."),
    ] = None,
    workload: Annotated[WorkloadKind, typer.Option(help="What is sent without --texts.")] = WorkloadKind.MIXED,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Put one URL under load. Exit status 1 if a request was not answered with 200; 130 after Ctrl-C, with what was seen by then."""
    target, path = _parts_of(url, route)
    head = "" if api_key is None else f"Authorization: Bearer {_one_line(api_key)}\r\n"
    spoken = openai(model, "float") if path.endswith("/embeddings") else TEI
    sent = _workload(texts, workload, Form(path, spoken.body_of, head))
    console = Console(stderr=as_json)
    before = all_processes()
    time.sleep(LOOK_S)
    others = busiest(before, all_processes(), LOOK_S)
    for each in others:
        console.print(f"this machine was busy before: {each}", style="yellow", highlight=False, markup=False)
    traffic, is_stopped = Traffic(sent, count(), NoCheck()), False
    try:
        asyncio.run(_run(console, target, traffic, concurrency, seconds))
    except KeyboardInterrupt:
        is_stopped = True
    except OSError as error:
        raise AnswerError(f"{url}: {error}") from error
    outcome = traffic.outcome
    if as_json:
        terminal.print_json(_figures(outcome) | {"busy_before": others})
    else:
        console.print("\n".join(summary(outcome)), highlight=False, markup=False)
    if is_stopped:
        console.print(f"stopped after {outcome.seconds:.1f} of {seconds:.1f} s", style="yellow", highlight=False)
        raise typer.Exit(130)
    raise typer.Exit(1 if outcome.failed or not outcome.latencies_s else 0)


def summary(outcome: LoadOutcome) -> list[str]:
    """Return what was seen so far: the rate, the latencies, the statuses."""
    latencies_s, rate = outcome.latencies_s, f"{outcome.per_second:,.1f} answers a second"
    if latencies_s:
        rate += "".join(f", p{share} {percentile_ms(latencies_s, share / 100):.1f} ms" for share in (50, 95, 99))
    statuses = Counter({200: len(latencies_s)}) + outcome.failed
    said = ", ".join(
        f"{'no answer' if status == NO_ANSWER else status}: {times:,}" for status, times in statuses.items()
    )
    return [rate, said, "", *histogram(latencies_s)]


def _figures(outcome: LoadOutcome) -> dict[str, object]:
    statuses = {str(status): times for status, times in outcome.failed.items()}
    return {
        "seconds": outcome.seconds,
        "answers_per_s": outcome.per_second,
        "p50_ms": percentile_ms(outcome.latencies_s, 0.5),
        "p99_ms": percentile_ms(outcome.latencies_s, 0.99),
        "statuses": {"200": len(outcome.latencies_s)} | statuses,
    }


async def _run(console: Console, target: Endpoint, traffic: Traffic, concurrency: int, seconds: float) -> None:
    bar = Progress(TextColumn(f"{concurrency} in flight"), BarColumn(), TimeRemainingColumn(), console=console)
    task = bar.add_task("", total=seconds)
    running = asyncio.create_task(closed_loop.run(target, traffic, concurrency=concurrency, seconds=seconds))
    began_s = time.perf_counter()
    with Live(bar, console=console, auto_refresh=False, transient=True) as shown:
        while not running.done():
            try:
                await asyncio.wait({running}, timeout=DRAWN_EVERY_S)
            finally:  # also where it is stopped
                traffic.outcome.seconds = time.perf_counter() - began_s
            bar.update(task, completed=min(seconds, traffic.outcome.seconds))
            shown.update(Group(bar, Text("\n".join(summary(traffic.outcome)))), refresh=True)
    running.result()


def _workload(texts: Path | None, kind: WorkloadKind, form: Form) -> Workload:
    if texts is None:
        return make(kind).in_form(form)
    try:
        own = read_texts(texts)
    except TextsError as error:
        raise typer.BadParameter(str(error), param_hint="--texts") from error
    return of_texts(own, form)


def _one_line(key: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise typer.BadParameter("must be printable ASCII", param_hint="--api-key")
    return key


def _parts_of(url: str, route: str | None) -> tuple[Endpoint, str]:
    """Return where to connect, and the route."""
    target, own = endpoint_of(url)
    if own and route:
        raise typer.BadParameter(f"{url}: must have one route, here or in --route")
    path = own or route or TEI.path
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        raise typer.BadParameter(f"{path}: must begin with a slash", param_hint="--route")
    return target, path
