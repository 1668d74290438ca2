"""If a language cannot run because of this machine, it is skipped; because of the program, the test fails."""

import os
import re
from pathlib import Path

import pytest

from tests.clients.matrix.languages import LANGUAGES, Language, built
from tests.clients.matrix.program_clients import PROGRAMS, SdkProgram

HERE = {"PATH": os.environ["PATH"]}


def language(command: str, tool: str = "sh", lock: str = "", made: str = "") -> Language:
    return Language((tool,), ("sh", "-c", command), "", "", ".*no registry.*", lock, made)


def test_a_tool_that_is_missing_is_named(tmp_path: Path) -> None:
    assert built(language("true", tool="no-such-tool"), tmp_path, HERE) == "no-such-tool not installed"


def test_a_machine_that_cannot_build_says_why(tmp_path: Path) -> None:
    assert built(language("echo; echo 'no registry here' >&2; exit 1"), tmp_path, HERE) == "sh: no registry here"


@pytest.mark.parametrize("unable", [language("true", tool="no-such-tool"), language("echo no registry; exit 1")])
def test_ci_has_no_excuse(tmp_path: Path, unable: Language) -> None:
    with pytest.raises(AssertionError, match="CI has what its languages need"):
        built(unable, tmp_path, HERE | {"CI": "true"})


def test_a_fault_of_the_program_is_no_excuse(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a type error"):
        built(language("echo a type error; exit 1"), tmp_path, HERE)


def test_a_build_that_is_newer_than_the_lock_file_is_left_alone(tmp_path: Path) -> None:
    again = language("echo built >> made", lock="lock", made="made")
    (tmp_path / "lock").touch()
    for _ in range(2):
        assert built(again, tmp_path, HERE) == ""
    assert (tmp_path / "made").read_text(encoding="utf-8") == "built\n"
    later_s = (tmp_path / "made").stat().st_mtime + 1
    os.utime(tmp_path / "lock", (later_s, later_s))
    assert built(again, tmp_path, HERE) == ""
    assert (tmp_path / "made").read_text(encoding="utf-8") == "built\nbuilt\n"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_sdk_is_pinned_to_one_version(program: SdkProgram) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", program.version)


def test_every_language_has_a_program() -> None:
    assert {program.language for program in PROGRAMS} == set(LANGUAGES)
