"""`make audit` never takes a missing answer for a good one."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.paths import ROOT

CLEAN = {"name": "clean", "version": "1", "vulns": []}
VULNERABLE = {"name": "old", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
UNKNOWN = {"name": "strange", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program(folder: Path, output: str) -> str:
    """A pip-audit with this output."""
    (folder / "said").write_text(output)
    path = folder / "pip-audit"
    path.write_text(f"#!/bin/sh\ncat {folder}/said\necho it went wrong >&2\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([CLEAN], 0, "no known vulnerability in 1 packages"),
        ([CLEAN, VULNERABLE], 1, "old 1: PYSEC-1, fixed in 2"),
        ([CLEAN, UNKNOWN], 3, "NOT AUDITED"),
        ([UNKNOWN, VULNERABLE], 1, "NOT AUDITED"),
        ([], 3, ""),
    ],
)
def test_what_is_known_is_told(
    audit: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    packages: list[dict[str, Any]],
    status: int,
    said: str,
) -> None:
    assert audit.main([program(tmp_path, json.dumps({"dependencies": packages})), "a.lock"]) == status
    assert said in capsys.readouterr().out


def test_a_service_that_is_away_is_told(audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([program(tmp_path, ""), "a.lock", "b.lock"]) == 3
    out = capsys.readouterr().out
    assert out.count("NOT AUDITED, the advisory service cannot be reached: it went wrong") == 2
