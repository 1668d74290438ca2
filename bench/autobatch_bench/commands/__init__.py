"""The commands of `autobatch bench`: options in, exit status out.

This module has the options that several of them share.
"""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

import typer

from autobatch_bench.comparing.sides import Varied
from autobatch_bench.load.traffic import Endpoint
from autobatch_bench.load.workloads import WorkloadKind
from autobatch_bench.systems.system import UpstreamKind

SecondsOption = Annotated[float, typer.Option(min=0.1, help="Length of one round.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="Rounds of each side.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Workers of each proxy.")]
OnlyOption = Annotated[
    list[Varied] | None, typer.Option(help="Measure this section alone; give it several times. [default: all]")
]
UpstreamOption = Annotated[UpstreamKind, typer.Option(help="What answers in the end.")]
WordsOption = Annotated[int, typer.Option(min=2, help="Length of the texts of `fixed`.")]
RepeatOption = Annotated[float, typer.Option(min=0, max=0.99, help="Share of texts that were sent before.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def pair(text: str, option: str) -> tuple[str, str]:
    """Return the two sides of a `NAME=VALUE` that was given to an option."""
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise typer.BadParameter(f"{text}: must be NAME=VALUE", param_hint=option)
    return name, value


def refuse_others(kinds: Sequence[WorkloadKind], allowed: Sequence[WorkloadKind]) -> None:
    """Refuse a --workload that a command cannot measure."""
    if not set(kinds) <= set(allowed):
        raise typer.BadParameter(f"must be one of {', '.join(allowed)}", param_hint="--workload")


def endpoint_of(url: str) -> tuple[Endpoint, str]:
    """Return the host and port of an http:// URL, and its path without a slash at the end."""
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError as error:
        raise typer.BadParameter(f"{url}: {error}") from error
    if parts.scheme != "http" or not parts.hostname:
        raise typer.BadParameter(f"{url}: must be http://host:port")
    return Endpoint(parts.hostname, port), parts.path.rstrip("/")
