"""Where each setting came from."""

from pathlib import Path

import pytest

from autobatch_console.up.settings import UpSettings
from autobatch_shared.settings.definitions import BatcherSettings, ProxySettings
from autobatch_shared.settings.files.model_tables import read_models
from autobatch_shared.settings.loading import read
from autobatch_shared.settings.origins import origins_of

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def told(*argv: str) -> list[str]:
    return [str(each) for each in origins_of(read(UpSettings, argv), argv) if each.is_changed]


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
        "MAX_BATCH_SIZE=9 (.env line 1)",
        "MAX_WAIT_TIME_MS=3 (config.toml line 2)",
        "NAMESPACE=three (environment)",
        "PORT=3001 (flag)",
    ]


def test_another_name_of_a_setting_is_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IP", "127.0.0.1")
    assert told() == ["HOST=127.0.0.1 (environment as IP)"]


def test_secrets_are_named_without_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "hunter2")
    monkeypatch.setenv("REDIS_URL", "redis+sentinel://:hunter2@a,b/main?ssl_password=hunter2")
    assert sorted(told("--inference-url", "http://user:hunter2@gpu,http://:hunter2@b:1/base?key=hunter2")) == [
        "API_KEYS=*** (environment as API_KEY)",
        "INFERENCE_URL=http://gpu,http://b:1/base (flag)",
        "REDIS_URL=redis+sentinel://a,b/main (environment)",
    ]


def test_a_rust_log_of_another_program_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_LOG", "my_crate")
    assert told() == []


def test_a_variable_without_a_value_sets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("NAMESPACE=\n")
    monkeypatch.setenv("MAX_QUEUE_SIZE", "")
    assert {each.source for each in origins_of(read(ProxySettings, []), [])} == {"default"}


def test_another_proxys_debug_is_the_level_of_the_log() -> None:
    Path("config.toml").write_text("port = 3001\ndebug = true\n")
    assert told() == ["LOG_LEVEL=debug (config.toml line 2)", "PORT=3001 (config.toml line 1)"]


def test_a_models_table_is_a_source_of_its_own() -> None:
    Path("config.toml").write_text(
        'max_batch_size = 8\n\n[[models]]\nname = "a"\n\n[[models]]\nname = "b"\nurl = [\n  "http://u:hunter2@c"\n]\n'
    )
    _, second = read_models(BatcherSettings, ["--max-batch-size", "9"])
    said = [str(each) for each in origins_of(second, ["--max-batch-size", "9"], 1) if each.is_changed]

    assert said == [
        "MAX_BATCH_SIZE=9 (flag)",
        "SERVED_MODEL_NAME=b (config.toml [[models]] line 7)",
        "INFERENCE_URL=http://c (config.toml [[models]] line 8)",
    ]
