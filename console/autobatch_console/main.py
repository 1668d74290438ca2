"""The `autobatch` command: one module per command, put together here."""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from autobatch_console.up import command as up

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _print_version(value: bool) -> None:  # noqa: FBT001  # typer's signature
    if value:
        typer.echo(version("autobatch"))
        raise typer.Exit


@app.callback()
def _autobatch(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Auto-batching proxy for embedding inference."""


app.command("up", context_settings=up.CONTEXT, help=up.HELP)(up.command)


@app.command(
    "bench", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def _bench(ctx: typer.Context) -> None:
    """Measure the proxy against its upstream on this machine: `run`, `compare`, `report` or `targets`."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", "autobatch_bench", *ctx.args])  # noqa: S606  # nothing of ours is left to do


def run() -> None:
    """Entry point of the `autobatch` script."""
    app()
