"""Where each setting came from."""

from pathlib import Path

import pytest

from autobatch_console.up.origins import origins_of
from autobatch_console.up.settings import UpSettings
from autobatch_shared.settings.loading import every_name, read


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in every_name():
        monkeypatch.delenv(name.upper(), raising=False)


def told(*argv: str) -> list[str]:
    return origins_of(read(UpSettings, argv), argv)


def test_nothing_is_said_of_defaults() -> None:
    assert told() == []
    assert told("--port", "3000") == []


def test_each_source_is_named_and_the_first_that_counts_is(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.toml").write_text("max_batch_size = 8\nmax_wait_time_ms = 3\n")
    Path(".env").write_text("MAX_BATCH_SIZE=9\nNAMESPACE=two\n")
    monkeypatch.setenv("NAMESPACE", "three")
    monkeypatch.setenv("LOG_LEVEL", "debug")

    assert sorted(told("--log-level", "error", "--port=3001")) == [
        "LOG_LEVEL=error (flag)",
        "MAX_BATCH_SIZE=9 (.env)",
        "MAX_WAIT_TIME_MS=3 (config.toml)",
        "NAMESPACE=three (environment)",
        "PORT=3001 (flag)",
    ]


def test_another_name_of_a_setting_is_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IP", "127.0.0.1")
    assert told() == ["HOST=127.0.0.1 (environment)"]


def test_secrets_are_named_without_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "hunter2")
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@queue")
    assert sorted(told("--inference-url", "http://user:hunter2@gpu")) == [
        "API_KEYS (environment)",
        "INFERENCE_URL (flag)",
        "REDIS_URL (environment)",
    ]


def test_a_rust_log_of_another_program_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_LOG", "my_crate")
    assert told() == []
