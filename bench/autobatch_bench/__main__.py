"""`autobatch bench`, which is `python -m autobatch_bench`: the commands put together. Without a command it is `run`."""

import signal
import sys

import typer

from autobatch_bench.commands import beside, compare, one_url, report, run, servers, targets
from autobatch_bench.load.plain_http import AnswerError
from autobatch_bench.systems.rig import EndedError
from autobatch_bench.systems.system import SystemStartError
from autobatch_console.up.programs import NotFoundError

HELP = "Measure an upstream directly and through the proxy. Without a command it is `run`."
app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=HELP)
app.command()(run.run)
app.command()(compare.compare)
app.command()(beside.beside)
app.command()(one_url.load)
app.command()(report.report)
app.command()(servers.servers)
app.command()(targets.targets)

COMMANDS = ("run", "compare", "beside", "load", "report", "servers", "targets")


def with_command(argv: list[str]) -> list[str]:
    """Return the arguments, with `run` before them if no command is named."""
    is_named = bool(argv) and (argv[0] in COMMANDS or argv[0] == "--help")
    return argv if is_named else ["run", *argv]


def main() -> None:
    """Run a command. Exit status 1 if a system under test could not be started, or ended during the run."""
    signal.signal(signal.SIGTERM, _exit)
    try:
        app(with_command(sys.argv[1:]), prog_name="autobatch bench")
    except (SystemStartError, EndedError, NotFoundError, AnswerError) as error:
        sys.stderr.write(f"autobatch bench: {error}\n")
        sys.exit(1)


def _exit(number: int, _frame: object) -> None:
    """Exit as after an error, so that every started process is ended; the default handler would leave them."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
