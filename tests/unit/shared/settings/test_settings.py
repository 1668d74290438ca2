"""Where a setting comes from, and what happens when it is wrong: everything said at once, no secret told."""

import errno
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from autobatch_console.up.settings import UpSettings
from autobatch_shared.settings.choices import POLICIES
from autobatch_shared.settings.definitions import (
    BatcherSettings,
    CommonSettings,
    EmbedderSettings,
    ProxySettings,
)
from autobatch_shared.settings.loading import SettingsError, load, names_of, read
from autobatch_shared.settings.origins import origins_of

SECRET = "hunter2"
ENV_FILE, CONFIG_FILE = Path(".env"), Path("config.toml")
SOURCES = ("flag", "environment", ".env", "config.toml")  # the strongest first
PAIRS = list(itertools.combinations(SOURCES, 2))

pytestmark = pytest.mark.usefixtures("nothing_is_set")


class Sources:
    """Puts settings where the sources look for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.argv: list[str] = []
        self._monkeypatch = monkeypatch

    def give(self, source: str, name: str, value: object) -> None:
        """Set one setting in one source."""
        match source:
            case "flag":
                self.argv += ["--" + name.replace("_", "-"), str(value)]
            case "environment":
                self._monkeypatch.setenv(name.upper(), str(value))
            case ".env":
                append(ENV_FILE, f"{name.upper()}={value}")
            case _:
                append(CONFIG_FILE, f"{name} = {value if isinstance(value, int) else repr(value)}")


def append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> Sources:
    return Sources(monkeypatch)


def faults_of(cls: type[CommonSettings], argv: Sequence[str] = ()) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(cls, argv)
    return caught.value.faults


def test_without_any_source_defaults_are_the_documented_ones() -> None:
    proxy, batcher = read(ProxySettings, []), read(BatcherSettings, [])

    assert {
        "redis_url": proxy.redis_url.get_secret_value(),
        "namespace": proxy.namespace,
        "port": proxy.port,
        "host": proxy.host,
        "max_batch_size": proxy.max_batch_size,
        "max_wait_time_ms": batcher.max_wait_time_ms,
        "batch_policy": batcher.batch_policy,
        "inference_urls": batcher.inference_urls,
        "inference_api_key": batcher.inference_api_key,
        "max_concurrent_batches": batcher.max_concurrent_batches,
        "max_queue_size": proxy.max_queue_size,
        "max_client_batch_size": proxy.max_client_batch_size,
        "request_timeout_ms": proxy.request_timeout_ms,
        "payload_limit": proxy.payload_limit,
        "log_level": proxy.log_level,
        "log_format": proxy.log_format,
    } == {
        "redis_url": "redis://127.0.0.1:6379/0",
        "namespace": "autobatch",
        "port": 3000,
        "host": "0.0.0.0",
        "max_batch_size": 32,
        "max_wait_time_ms": 10,
        "batch_policy": "adaptive",
        "inference_urls": ("http://127.0.0.1:8080",),
        "inference_api_key": None,
        "max_concurrent_batches": None,
        "max_queue_size": 10_000,
        "max_client_batch_size": 2048,
        "request_timeout_ms": 30_000,
        "payload_limit": 2_000_000,
        "log_level": "info",
        "log_format": "json",
    }


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_read(sources: Sources, source: str) -> None:
    sources.give(source, "max_batch_size", 7)
    sources.give(source, "log_level", "debug")

    settings = read(ProxySettings, sources.argv)

    assert (settings.max_batch_size, settings.log_level, type(settings)) == (7, "debug", ProxySettings)


@pytest.mark.parametrize(("higher", "lower"), PAIRS)
def test_a_higher_source_wins(sources: Sources, higher: str, lower: str) -> None:
    sources.give(lower, "namespace", "lower")
    sources.give(lower, "max_batch_size", 7)
    sources.give(higher, "namespace", "higher")

    settings = read(ProxySettings, sources.argv)

    assert (settings.namespace, settings.max_batch_size) == ("higher", 7)


ALIASES = {
    "max_wait_time_ms": ("max_wait_time_ms", "max_wait_time"),
    "max_concurrent_batches": ("max_concurrent_batches", "max_concurrent_workers"),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("name", "alias"), [(name, alias) for name, both in ALIASES.items() for alias in both])
def test_both_names_of_a_setting_are_understood_everywhere(
    sources: Sources, source: str, name: str, alias: str
) -> None:
    sources.give(source, alias, 3)

    assert getattr(read(BatcherSettings, sources.argv), name) == 3


@pytest.mark.parametrize(("higher", "lower"), PAIRS)
@pytest.mark.parametrize(("one", "other"), [ALIASES["max_wait_time_ms"], ALIASES["max_wait_time_ms"][::-1]])
def test_a_higher_source_wins_by_whichever_name(
    sources: Sources, higher: str, lower: str, one: str, other: str
) -> None:
    sources.give(higher, one, 7)
    sources.give(lower, other, 5)

    assert read(BatcherSettings, sources.argv).max_wait_time_ms == 7


def test_an_empty_variable_is_as_if_absent(sources: Sources) -> None:
    """As compose files and unit files write them."""
    sources.give("environment", "port", "")
    sources.give("environment", "web_concurrency", "")
    sources.give(".env", "port", 4000)

    settings = read(ProxySettings, [])

    assert (settings.port, settings.web_concurrency) == (4000, None)


def test_one_file_serves_all_processes(sources: Sources) -> None:
    """Each takes its own settings, and leaves those of the others to them."""
    for name, value in (("port", 3001), ("max_wait_time", 5), ("embedder_port", 8081), ("max_batch_size", 4)):
        sources.give("config.toml", name, value)

    assert read(ProxySettings, []).port == 3001
    assert read(BatcherSettings, []).max_wait_time_ms == 5
    assert read(EmbedderSettings, []).embedder_port == 8081
    assert read(ProxySettings, []).max_batch_size == read(BatcherSettings, []).max_batch_size == 4


def test_all_faults_of_all_sources_are_told_at_once(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.give("config.toml", "max_bach_size", 3)
    sources.give("config.toml", "payload_limit", 1)
    sources.give(".env", "max_queue_size", "many")
    sources.give("environment", "redis_url", f"http://:{SECRET}@h")
    monkeypatch.setattr("sys.argv", ["proxy", "--prot", "3001", "--port", "70000"])

    with pytest.raises(SystemExit) as caught:
        load(ProxySettings)

    lines = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert sorted(line.split(": ", 2)[1] for line in lines) == [
        "--prot",
        "MAX_QUEUE_SIZE",
        "PAYLOAD_LIMIT",
        "PORT",
        "REDIS_URL",
        "config.toml",
    ]
    assert all(line.startswith("autobatch: ") for line in lines)
    assert any("max_bach_size: no such setting" in line for line in lines)
    assert any("PORT" in line and "65535" in line and "70000" in line for line in lines)
    assert not any(SECRET in line for line in lines)


def test_settings_that_are_right_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["batcher", "--batch-policy", "full"])

    assert load(BatcherSettings).batch_policy == "full"
    assert load(BatcherSettings, []).batch_policy == "adaptive"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_batch_size", 0),
        ("max_batch_size", 1001),
        ("max_batch_size", "x"),
        ("max_wait_time_ms", -1),
        ("max_wait_time", 10_001),
        ("max_concurrent_workers", 0),
        ("batch_policy", "eager"),
        ("log_level", "loud"),
        ("namespace", "a b"),
        ("namespace", "{a}"),
        ("namespace", "a" * 65),
        ("redis_url", "localhost:6379"),
        ("inference_url", "localhost:8080"),
        ("inference_url", "http://a,"),
        ("inference_url", "http://"),
        ("inference_url", "ftp://a"),
        ("inference_url", "http://a/b#c"),
        ("inference_url", "http://a,http://b/#"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(sources: Sources, source: str, name: str, value: object) -> None:
    if source == "flag" and value == -1:
        sources.argv.append("--max-wait-time-ms=-1")
    else:
        sources.give(source, name, value)

    (fault,) = faults_of(BatcherSettings, sources.argv)

    own_name = next(own for own, field in BatcherSettings.model_fields.items() if name in names_of(own, field))
    assert fault.startswith(f"{own_name.upper()}: ")


@pytest.mark.parametrize("cls", [BatcherSettings, UpSettings])
def test_an_unknown_policy_is_refused_with_the_words_that_are_known(cls: type[CommonSettings]) -> None:
    (fault,) = faults_of(cls, ["--batch-policy", "eager"])

    assert fault.startswith("BATCH_POLICY: ")
    assert fault.endswith(" (got 'eager')")
    assert [name for name in POLICIES if repr(name) not in fault] == []


@pytest.mark.parametrize(
    ("name", "url"),
    [("redis_url", "redis://h:99999"), ("redis_url", "redis://h:x"), ("inference_url", "http://h:99999")],
)
def test_a_port_that_cannot_be_is_refused_at_the_start(sources: Sources, name: str, url: str) -> None:
    """And not by a traceback from wherever the address is first needed."""
    sources.give("environment", name, url)

    (fault,) = faults_of(BatcherSettings)

    assert fault.startswith(f"{name.upper()}: ")


@pytest.mark.parametrize("name", ["max_batch_size", "port"])
def test_true_is_no_number(name: str) -> None:
    append(CONFIG_FILE, f"{name} = true")

    (fault,) = faults_of(ProxySettings)

    assert name in fault.lower()


@pytest.mark.parametrize("text", ["port = ", "[proxy]\nport = 1", "port = 1\nport = 2", "PORT = 1"])
def test_a_config_file_that_is_not_understood_is_named(text: str) -> None:
    append(CONFIG_FILE, text)

    assert [fault.partition(":")[0] for fault in faults_of(ProxySettings)] == ["config.toml"]


def test_a_config_file_in_another_encoding_is_named() -> None:
    CONFIG_FILE.write_bytes(b'namespace = "\xff"')

    assert [fault.partition(":")[0] for fault in faults_of(ProxySettings)] == ["config.toml"]


def test_an_env_file_in_another_encoding_is_named() -> None:
    ENV_FILE.write_bytes(b"NAMESPACE=\xff\n")

    (fault,) = faults_of(ProxySettings)

    assert ".env" in fault


@pytest.mark.parametrize("argv", [["--no-such-flag", "1"], ["--max-batch", "5"], ["stray"], ["--port"]])
def test_a_flag_that_no_setting_has_ends_the_start(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is a shortened flag guessed at."""
    with pytest.raises(SystemExit) as caught:
        load(ProxySettings, argv)

    assert caught.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_help_names_every_setting_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load(BatcherSettings, ["--help"])

    shown = capsys.readouterr().out
    assert caught.value.code == 0
    for name, field in BatcherSettings.model_fields.items():
        for each in names_of(name, field):
            assert f"--{each.replace('_', '-')}" in shown
    assert "null" not in shown
    assert "--target-p99-ms int" in shown


def secrets_of(settings: Any) -> str:
    return f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize("source", SOURCES)
def test_keys_and_passwords_are_not_in_a_repr(sources: Sources, source: str) -> None:
    sources.give(source, "redis_url", f"redis://:{SECRET}@h")
    sources.give(source, "inference_api_key", SECRET)

    settings = read(BatcherSettings, sources.argv)

    assert settings.redis_url.get_secret_value() == f"redis://:{SECRET}@h"
    assert settings.inference_api_key == SecretStr(SECRET)
    assert SECRET not in secrets_of(settings)


def test_a_password_in_the_upstreams_address_is_not_in_a_repr(sources: Sources) -> None:
    sources.give("environment", "inference_url", f"http://user:{SECRET}@h")

    assert SECRET not in repr(read(BatcherSettings, []))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["redis_url", "inference_url"])
def test_a_wrong_address_is_not_told(sources: Sources, source: str, name: str) -> None:
    sources.give(source, name, f"gopher://:{SECRET}@h")

    assert SECRET not in "".join(faults_of(BatcherSettings, sources.argv))


@pytest.mark.parametrize(
    "text",
    [
        f'inference_api_key = ["{SECRET}"]',
        f'redis_url = ["redis://:{SECRET}@h"]',
        f'inference_api_key = "{SECRET}',
        f'inference_api_key = "{SECRET}"\ninference_api_key = "{SECRET}"',
        f'inference_api_key = {{ key = "{SECRET}" }}',
    ],
)
def test_a_secret_of_the_wrong_type_is_not_told(text: str) -> None:
    append(CONFIG_FILE, text)

    assert SECRET not in "".join(faults_of(BatcherSettings))


@pytest.mark.parametrize(
    "argv",
    [
        ["--redis-ulr", f"redis://:{SECRET}@h"],
        [f"--redis-ulr=redis://:{SECRET}@h"],
        ["-redis-url", f"redis://:{SECRET}@h"],
        ["--inference-api-key", SECRET],
        [f"--inference-api-key={SECRET}"],
    ],
)
def test_the_value_of_a_flag_that_no_setting_has_is_not_told(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt flag, and one that only another process has."""
    with pytest.raises(SystemExit):
        load(ProxySettings, argv)

    assert SECRET not in capsys.readouterr().err


def test_replicas_are_a_list_without_trailing_slashes(sources: Sources) -> None:
    sources.give("environment", "inference_url", "http://a:1/, https://b/base/ ,http://[::1]:8080")

    assert read(BatcherSettings, []).inference_urls == ("http://a:1", "https://b/base", "http://[::1]:8080")


def test_settings_cannot_be_changed() -> None:
    settings = read(ProxySettings, [])

    with pytest.raises(ValidationError):
        settings.port = 1


@pytest.mark.parametrize("flag", ["--embedder-auto-truncate", "--no-embedder-auto-truncate"])
def test_a_claim_is_a_flag_without_a_value(flag: str) -> None:
    assert read(EmbedderSettings, [flag]).embedder_auto_truncate == (not flag.startswith("--no-"))


def test_the_line_break_behind_a_key_is_not_sent(sources: Sources) -> None:
    sources.give("environment", "inference_api_key", "hunter2\n")

    assert read(BatcherSettings, []).inference_api_key == SecretStr("hunter2")


@pytest.mark.parametrize(
    ("cls", "name", "value", "words"),
    [
        (BatcherSettings, "inference_api_key", "hunter2\nhunter3", "no header can have"),
        (ProxySettings, "api_keys", "fine,sha256:abc123", "64 hex digits"),
    ],
)
def test_a_key_that_could_not_be_meant_is_refused(
    sources: Sources, cls: type[CommonSettings], name: str, value: str, words: str
) -> None:
    sources.give("environment", name, value)

    (fault,) = faults_of(cls)

    assert words in fault
    assert value not in fault


@pytest.mark.parametrize("file", [ENV_FILE, CONFIG_FILE], ids=str)
def test_a_file_that_cannot_be_read_is_a_fault(file: Path) -> None:
    """As one of another user."""
    file.symlink_to("/proc/self/mem")  # which not even root can read from its begin
    if not file.is_file():
        pytest.skip("this system has no such file")
    assert faults_of(ProxySettings) == (f"{file}: {os.strerror(errno.EIO)}",)


def test_a_config_file_that_begins_with_a_byte_order_mark_is_read() -> None:
    """Editors of Windows write one."""
    CONFIG_FILE.write_text("max_batch_size = 7\n", encoding="utf-8-sig")

    settings = read(ProxySettings, [])

    assert settings.max_batch_size == 7
    assert [each.place for each in origins_of(settings, []) if each.is_changed] == ["config.toml line 1"]
