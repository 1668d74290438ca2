"""`python -m bench`, also `autobatch bench`: put the commands together. Without a command it is `run`."""

import sys

import typer

from bench.commands import compare, report, run, targets

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=__doc__)
app.command()(run.run)
app.command()(compare.compare)
app.command()(report.report)
app.command()(targets.targets)

COMMANDS = ("run", "compare", "report", "targets")


def with_command(argv: list[str]) -> list[str]:
    """Return the arguments with `run` before them, where no command is named."""
    is_named = bool(argv) and (argv[0] in COMMANDS or argv[0] == "--help")
    return argv if is_named else ["run", *argv]


if __name__ == "__main__":
    app(with_command(sys.argv[1:]), prog_name="autobatch bench")
