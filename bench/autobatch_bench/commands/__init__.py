"""The commands of `autobatch bench`: options in, exit status out. Here are the options that several of them have."""

from typing import Annotated

import typer

Seconds = Annotated[float, typer.Option(min=0.1, help="Length of one round.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds of each side.")]
Workers = Annotated[int, typer.Option(min=1, help="Workers of each proxy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
