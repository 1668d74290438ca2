"""The commands of `autobatch bench`: options in, exit status out.

This module has the options that several of them share.
"""

from typing import Annotated

import typer

SecondsOption = Annotated[float, typer.Option(min=0.1, help="Length of one round.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="Rounds of each side.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Workers of each proxy.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
