"""The `autobatch` command: it reads one word and gives its place to the program of that name.

A server takes over this very process, as `python -P -m` its package: signals, exit status and memory are the server's own. So a
module is imported here only where it is used; all that a start through this command costs more is one start of Python.
"""

import errno
import os
import sys
from collections.abc import Sequence

PROGRAMS = {
    "proxy": "autobatch_proxy",
    "batcher": "autobatch_batcher",
    "embedder": "autobatch_embedder",
    "bench": "autobatch_bench",
    "simulate": "autobatch_batcher.simulating",
    "tune": "autobatch_batcher.advising",
}
HELP = """\
Usage: autobatch COMMAND [FLAGS]

  Auto-batching proxy for embedding inference.

Commands:
  up        Start everything on this machine and keep it running: Redis, a model, batcher, workers, nginx.
  top       Watch the fleet: answered and waiting, latencies, batches, each part's state; --demo starts one.
  doctor    Check what `up` would use: Redis, the upstreams, files, ports; say what to change.
  config    Print every setting, and where it came from: flag, environment, file and line.
  proxy     Start the HTTP workers of one host.
  batcher   Start one batcher: it forms batches and calls the upstreams.
  embedder  Start the embedded upstream: a small model on the CPU.
  bench     Measure an upstream directly and through the proxy, or one URL: run, compare, load, report.
  simulate  Compute what batchers would do with a trace of requests, beside fixed policies.
  tune      Measure an embedding server, and say what the proxy would gain in front of it.

Options:
  --version  Print the version.
  --help     Show this text; behind a command, show that command's flags.
"""


#: What keeps lines from where they go, such as a full disk; a reader that has gone is no fault.
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def run() -> None:
    """Entry point of the `autobatch` script. Exit status 2 when there is no such command, 1 when what it says cannot be written."""
    status: object = 1
    try:
        try:
            status = start(sys.argv[1:])
        except SystemExit as ended:  # as typer ends
            status = ended.code
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        sys.stderr.write(f"autobatch: {error.filename or 'the output'} cannot be written: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again
        status = 1
    sys.exit(status)


def start(argv: Sequence[str]) -> int:
    """Do what the first word says. Return the exit status, or never: a program may take this process over."""
    command = argv[0] if argv else ""
    if command in PROGRAMS:
        words = [sys.executable, "-P", "-m", PROGRAMS[command], *argv[1:]]
        os.execv(sys.executable, words)  # noqa: S606  # nothing of ours is left to do
    if command in ("up", "doctor", "config"):
        return _with_settings_of_up(command, argv[1:])
    if command == "top":
        return _top(argv[1:])
    if command in ("--help", "-h"):
        sys.stdout.write(HELP)
        return 0
    if command == "--version":
        from importlib.metadata import version  # noqa: PLC0415  # 15 ms

        from autobatch_shared.install_hints import DISTRIBUTION  # noqa: PLC0415

        sys.stdout.write(f"{version(DISTRIBUTION)}\n")
        return 0
    sys.stderr.write(f"autobatch: {command}: no such command\n\n{HELP}" if command else HELP)
    return 2


def _with_settings_of_up(name: str, argv: Sequence[str]) -> int:
    import logging  # noqa: PLC0415

    import typer  # noqa: PLC0415  # this and the commands take 200 ms

    from autobatch_console.up import command as up  # noqa: PLC0415
    from autobatch_console.up import config_command, doctor  # noqa: PLC0415

    logging.getLogger("autobatch_shared").addHandler(logging.NullHandler())  # people are told by the diagnoses
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    programs = {"up": up, "doctor": doctor, "config": config_command}
    app.command(context_settings=up.CONTEXT, help=programs[name].HELP)(programs[name].command)
    app(argv, prog_name=f"autobatch {name}")
    return 0


def _top(argv: Sequence[str]) -> int:
    import typer  # noqa: PLC0415  # as above

    from autobatch_console.top import top_command as top  # noqa: PLC0415

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    context = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=context, help=top.HELP)(top.command)
    app(argv, prog_name="autobatch top")
    return 0
