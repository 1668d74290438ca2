"""`autobatch config`, as a person and as a program call it."""

import json
from pathlib import Path

import pytest

from autobatch_console import main

TABLES = 'max_batch_size = 8\n[[models]]\nname = "small"\nmax_batch_size = 4\nprompts = { search_query = "query" }\n'

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main.start(["config", *words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_what_is_set_comes_first_and_each_setting_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("max_batch_size = 8\n")
    said = printed(capsys, "batcher", "--max-wait-time-ms", "3")

    changed, _, rest = said.partition("\nAs by default:\n")
    assert [line.split() for line in changed.splitlines()[1:]] == [
        ["MAX_BATCH_SIZE", "8", "config.toml", "line", "1"],
        ["MAX_WAIT_TIME_MS", "3", "flag"],
    ]
    assert "  MODEL_IS_DEFAULT" in rest
    assert "MAX_BATCH_SIZE" not in rest
    assert "MAX_QUEUE_SIZE" not in said


def test_programs_read_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_BACH_SIZE", "8")
    monkeypatch.setenv("API_KEY", "hunter2")
    said = printed(capsys, "proxy", "--json")
    document = json.loads(said)

    assert "hunter2" not in said
    assert document["command"] == "proxy"
    assert document["remarks"] == ["MAX_BACH_SIZE in the environment is no setting; did you mean MAX_BATCH_SIZE?"]
    (keys,) = (each for each in document["settings"] if each["setting"] == "API_KEYS")
    assert (keys["value"], keys["source"], keys["given_as"]) == ("***", "environment", "API_KEY")


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("up", {"SERVED_MODEL_NAME": "small", "MAX_BATCH_SIZE": 4, "INPUT_TYPE_PROMPTS": "search_query=query"}),
        ("batcher", {"SERVED_MODEL_NAME": "small", "MAX_BATCH_SIZE": 4}),
        ("proxy", {"INPUT_TYPE_PROMPTS": "search_query=query"}),
    ],
)
def test_a_models_own_settings_are_those_that_its_process_reads(
    command: str, own: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.toml").write_text(TABLES)
    said = json.loads(printed(capsys, command, "--json"))["models"]["small"]
    assert {each["setting"]: each["value"] for each in said} == own


def test_settings_that_are_wrong_are_told_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("port = 0\nprot = 1\n")
    with pytest.raises(SystemExit) as ended:
        main.start(["config"])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
