"""`.env.example` and the table of docs/settings.md match the settings."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from autobatch_console.docs import settings_docs
from autobatch_console.docs.settings_rows import SettingRow, rows_of
from autobatch_shared.settings.definitions import PROCESSES, CommonSettings
from autobatch_shared.settings.loading import names_of

DOCUMENT = settings_docs.ROOT / settings_docs.DOCUMENT


class Example(CommonSettings):
    """One setting of each kind."""

    size: int = Field(3, ge=1, le=9, description="a size")
    least: float = Field(0.5, ge=0, description="a least")
    mode: Literal["a", "b"] = Field("a", description="a mode")
    told: Literal["a", "b"] = Field("a", description="`a` or `b`")
    truth: bool = Field(default=True, description="a truth")
    key: SecretStr | None = Field(None, description="a key")


def rows() -> dict[str, SettingRow]:
    return {row.names[0]: row for row in rows_of({"one": Example, "two": CommonSettings})}


def test_ranges_are_read_from_the_types() -> None:
    ranges = {name: rows()[name].range for name in ("SIZE", "LEAST", "MODE", "TOLD", "TRUTH", "KEY")}
    assert ranges == {
        "SIZE": "1 to 9",
        "LEAST": "from 0",
        "MODE": "a or b",
        "TOLD": "",
        "TRUTH": "true or false",
        "KEY": "",
    }


def test_a_setting_appears_once_with_all_who_read_it() -> None:
    assert rows()["LOG_LEVEL"].who == ("one", "two")
    assert rows()["SIZE"].who == ("one",)


def test_every_name_of_every_setting_is_in_the_example_commented_out() -> None:
    text = settings_docs.env_example(rows_of(PROCESSES))
    for process in PROCESSES.values():
        for name, field in process.model_fields.items():
            assert f"\n#{name.upper()}=" in text
            assert all(alias.upper() in text for alias in names_of(name, field))
    assert all(line.startswith("#") for line in text.splitlines() if line)


def test_the_table_goes_between_its_markers_and_nowhere_else() -> None:
    document = f"before\n{settings_docs.BEGIN}\nold\n{settings_docs.END}\nafter\n"
    once = settings_docs.with_table(document, "new")
    assert once == f"before\n{settings_docs.BEGIN}\nnew\n{settings_docs.END}\nafter\n"
    assert settings_docs.with_table(once, "new") == once


def test_check_tells_what_is_stale_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = f"{settings_docs.BEGIN}\n{settings_docs.END}\n"
    (tmp_path / "docs").mkdir()
    (tmp_path / settings_docs.DOCUMENT).write_text(document)

    assert settings_docs.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().err
    assert ".env.example is out of date" in told
    assert "settings.md is out of date" in told
    assert (tmp_path / settings_docs.DOCUMENT).read_text() == document
    assert not (tmp_path / ".env.example").exists()

    assert settings_docs.main([], tmp_path) == 0
    assert settings_docs.main(["--check"], tmp_path) == 0
    assert "| `MAX_BATCH_SIZE` | `32` |" in (tmp_path / settings_docs.DOCUMENT).read_text()


def test_a_document_without_markers_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / settings_docs.DOCUMENT).write_text("no table\n")

    assert settings_docs.main([], tmp_path) == 1
    assert settings_docs.BEGIN in capsys.readouterr().err


def test_the_example_in_the_repository_is_current() -> None:
    text = (settings_docs.ROOT / ".env.example").read_text()
    assert settings_docs.env_example(rows_of(PROCESSES)) == text, "run `make docs`"


def test_the_table_in_the_document_is_current() -> None:
    text = DOCUMENT.read_text()
    assert settings_docs.with_table(text, settings_docs.settings_table(rows_of(PROCESSES))) == text, "run `make docs`"
