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


NO_FILE = "cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("proxy", "API_KEYS_FILE"),
        ("up", "API_KEYS_FILE"),
        ("proxy", "TOKENIZER_FILE"),
        ("batcher", "INFERENCE_CA_FILE"),
        ("up", "INFERENCE_CA_FILE"),
    ],
)
def test_a_file_that_a_start_would_refuse_is_told_with_status_2(
    command: str, setting: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, "nowhere")
    with pytest.raises(SystemExit) as ended:
        main.start(["config", command])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert f"{setting}: nowhere {NO_FILE}" in said.err
    assert f"{setting} " in said.out


def test_so_is_a_models_own_and_programs_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text(TABLES + 'tokenizer_file = "nowhere"\n')
    with pytest.raises(SystemExit) as ended:
        main.start(["config", "proxy", "--json"])
    assert ended.value.code == 2
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert fault.startswith(f"TOKENIZER_FILE of small: nowhere {NO_FILE}")


def test_keys_that_cannot_be_meant_are_told_without_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("keys").write_text("first\nsha256:hunter2\n")
    with pytest.raises(SystemExit) as ended:
        main.start(["config", "proxy", "--api-keys-file", "keys"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "API_KEYS_FILE: after `sha256:` come the 64 hex digits" in said.err
    assert "hunter2" not in said.out + said.err


@pytest.mark.parametrize("setting", ["api_keys_file", "inference_ca_file"])
def test_a_file_without_a_name_is_wrong(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text(f'{setting} = ""\n')
    with pytest.raises(SystemExit) as ended:
        main.start(["config"])
    assert ended.value.code == 2
    assert "must name a file, or not be set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OPENAI_TOKEN_IDS": "cl100k"}, "OPENAI_TOKEN_IDS=cl100k needs CL100K_FILE"),
        ({"REDIS_URL": "redis+cluster://h/0?nonsense=1"}, "REDIS_URL: "),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf (got 'grpc')",
        ),
    ],
)
def test_what_else_a_start_would_refuse_is_told_too(
    variables: dict[str, str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main.start(["config", "proxy"])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
