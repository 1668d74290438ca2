"""The `autobatch` command: what each word starts, and what that costs."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from autobatch_console import main
from autobatch_shared.settings.definitions import PROCESSES

HEAVY = {"typer", "pydantic", "asyncio", "importlib.metadata"}


@pytest.mark.parametrize(("command", "module"), main.PROGRAMS.items())
def test_a_program_takes_the_place_of_the_command(command: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[tuple[str, list[str]]] = []

    class ReplacedError(Exception):
        """`execv` does not return."""

    def execv(path: str, argv: list[str]) -> None:
        replaced.append((path, argv))
        raise ReplacedError

    monkeypatch.setattr("os.execv", execv)
    with pytest.raises(ReplacedError):
        main.start([command, "--port", "1"])
    assert replaced == [(sys.executable, [sys.executable, "-P", "-m", module, "--port", "1"])]


def test_every_process_that_has_settings_has_a_command() -> None:
    assert set(PROCESSES) < set(main.PROGRAMS)
    assert all(f"\n  {command} " in main.HELP for command in ("up", *main.PROGRAMS))


def test_the_command_imports_nothing_heavy_on_its_way_to_a_program() -> None:
    code = f"import sys, autobatch_console.main; print(*sorted({HEAVY!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.start(["--version"]) == 0
    assert capsys.readouterr().out == f"{version('autobatch-proxy')}\n"


@pytest.mark.parametrize(("argv", "told"), [([], ""), (["bacher"], "autobatch: bacher: no such command\n\n")])
def test_without_a_command_that_exists_there_is_help_and_a_failure(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.start(argv) == 2
    assert capsys.readouterr().err == told + main.HELP


def test_help_that_is_asked_for_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.start(["--help"]) == 0
    assert capsys.readouterr().out == main.HELP


def test_the_help_of_a_server_names_its_command() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "autobatch_console", "batcher", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("usage: autobatch batcher ")
