"""Every row of the table of foreign names, in every source: understood as it is, or refused with the right name."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from autobatch_console.up.settings import UpSettings, flags_as_environment
from autobatch_shared.settings.definitions import BatcherSettings, CommonSettings
from autobatch_shared.settings.foreign_names import COMPOSE_NAMES, FOREIGN, Foreign
from autobatch_shared.settings.loading import SHORT_FLAGS, SettingsError, every_name, read

SAMPLES = {
    "inference_url": "http://tei:80",
    "log_level": "error",
    "max_concurrent_batches": "3",
    "max_wait_time_ms": "3",
    "upstream_dimension": "384",
    "upstream_grpc_port": "8001",
}
UNDERSTOOD = [pytest.param(row, id=row.name) for row in FOREIGN if row.setting]
REFUSED = [pytest.param(row, id=row.name) for row in FOREIGN if not row.setting]

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def faults_of(argv: list[str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(UpSettings, argv or [])
    return caught.value.faults


def value_of(settings: CommonSettings, name: str) -> str:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@pytest.mark.parametrize("row", UNDERSTOOD)
@pytest.mark.parametrize("source", ["flag", "environment", ".env", "config.toml"])
def test_an_understood_name_is_understood_everywhere(
    monkeypatch: pytest.MonkeyPatch, row: Foreign, source: str
) -> None:
    text = SAMPLES.get(row.setting, "some")
    argv: list[str] = []
    match source:
        case "flag":
            argv = [f"--{row.name.lower().replace('_', '-')}", text]
        case "environment":
            monkeypatch.setenv(row.name, text)
        case ".env":
            Path(".env").write_text(f"{row.name}={text}\n")
        case _:
            value = text if text.isdecimal() else f'"{text}"'
            Path("config.toml").write_text(f"{row.name.lower()} = {value}\n")

    assert value_of(read(UpSettings, argv), row.setting) == text
    assert flags_as_environment(argv) == ({row.setting.upper(): text} if argv else {})


@pytest.mark.parametrize("row", UNDERSTOOD)
def test_our_own_name_wins_over_the_foreign_one(row: Foreign) -> None:
    text = SAMPLES.get(row.setting, "some")
    Path(".env").write_text(f"{row.name}=x\n{row.setting.upper()}={text}\n")

    assert value_of(read(UpSettings, []), row.setting) == text


@pytest.mark.parametrize("row", REFUSED)
def test_a_refused_name_is_refused_everywhere_with_what_to_use(row: Foreign) -> None:
    flag = f"--{row.name.lower().replace('_', '-')}"
    asked = [] if flag in SHORT_FLAGS else [flag]
    Path(".env").write_text(f"{row.name}=7\n")
    Path("config.toml").write_text(f"{row.name.lower()} = 7\n")

    assert set(faults_of([word for each in asked for word in (each, "7")])) == {
        *(f"{each}: no such flag; {row.instead}" for each in asked),
        f".env: {row.name}: no such setting; {row.instead}",
        f"config.toml: {row.name.lower()}: no such setting; {row.instead}",
    }


def test_what_a_refusal_names_is_there() -> None:
    for row in FOREIGN:
        named = {word.strip(",;=.") for word in row.instead.replace("=", " ").split() if word.isupper() or "_" in word}
        ours = {word for word in named if "_" in word and "." not in word}
        assert {name.lower() for name in ours} <= every_name(), row.name
        assert bool(row.setting) != bool(row.instead)
        assert row.name.lower() not in every_name() or row.setting


@pytest.mark.parametrize("name", [*sorted(COMPOSE_NAMES), "COMPOSE_PROFILES", "DOCKER_BUILDKIT"])
def test_docker_composes_names_may_stand_beside_ours(name: str) -> None:
    Path(".env").write_text(f"{name}=x\nMAX_BATCH_SIZE=7\n")

    assert read(UpSettings, []).max_batch_size == 7


@pytest.mark.parametrize("name", ["AWS_REGION", "OPENAI_API_KEY", "FOO", "COMPOSER_HOME"])
def test_other_programs_names_may_not(name: str) -> None:
    Path(".env").write_text(f"{name}=secret-value\n")

    assert faults_of() == (f".env: {name}: no such setting",)


def test_a_fault_tells_the_name_that_was_used_too() -> None:
    Path(".env").write_text("RUST_LOG=loud\nINFERENCE_SERVICE_URL=ftp://secret\n")

    url, level = sorted(faults_of())
    assert level.startswith("LOG_LEVEL: ")
    assert level.endswith("(got 'loud'); it is also RUST_LOG")
    assert (
        url
        == "INFERENCE_URL: must be http://, https://, grpc:// or grpcs:// URLs, separated by commas; it is also INFERENCE_SERVICE_URL, TRITON_SERVER_URL"
    )


def test_an_editors_byte_order_mark_is_no_part_of_a_name() -> None:
    Path(".env").write_text("MAX_BATCH_SIZE=7\n", encoding="utf-8-sig")

    assert read(UpSettings, []).max_batch_size == 7


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://tei:80/embed", "http://tei:80"),
        ("http://tei/base/embed", "http://tei/base"),
        ("http://tei/embed/", "http://tei/embed"),
        ("http://embed", "http://embed"),
        ("http://me:pass@tei/embed", "http://me:pass@tei"),
        ("http://tei/v1/myembed", "http://tei/v1/myembed"),
        ("http://ollama:11434/v1", "http://ollama:11434"),
        ("https://host/api/v1/embeddings/", "https://host/api"),
        ("https://host/v1beta/openai/", "https://host/v1beta/openai"),
        (
            "https://host/openai/deployments/ada/embeddings?api-version=1",
            "https://host/openai/deployments/ada?api-version=1",
        ),
    ],
)
def test_the_url_of_the_route_means_its_server(url: str, server: str) -> None:
    """Other proxies want `http://tei/embed`; a call to `/embed/embed` would find nothing. OpenAI's clients want `/v1`."""
    for cls in (BatcherSettings, UpSettings):
        assert read(cls, ["--inference-url", url]).inference_urls == (server,)


def test_a_published_proxys_own_env_file_works() -> None:
    """It gave our own model's vectors, and a listener on all addresses."""
    Path(".env").write_text(
        "MAX_WAIT_TIME=200\nMAX_BATCH_SIZE=16\nINFERENCE_SERVICE_URL=http://tei:80\nINFERENCE_SERVICE_KEY=key\n"
        "IP=127.0.0.1\nPORT=3001\nRUST_LOG=info\n"
    )

    settings = read(UpSettings, [])

    assert (settings.inference_urls, settings.host, settings.port) == (("http://tei:80",), "127.0.0.1", 3001)
    assert (settings.max_wait_time_ms, settings.max_batch_size) == (200, 16)


@pytest.mark.parametrize(("line", "level"), [("debug = true", "debug"), ("debug = false", "info")])
def test_debug_is_understood_in_the_config_file(line: str, level: str) -> None:
    Path("config.toml").write_text(f"max_batch_size = 7\n{line}\n")

    assert read(UpSettings, []).log_level == level


def test_debug_does_not_win_over_the_level_itself() -> None:
    Path("config.toml").write_text('debug = true\nlog_level = "error"\n')

    assert read(UpSettings, []).log_level == "error"


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("warn", "warning"),
        ("trace", "debug"),
        ("off", "error"),
        ("INFO", "info"),
        ("hyper=warn,debug", "debug"),
        ("auto_batching_proxy=debug", "debug"),
        ("info, tower_http=trace", "info"),
    ],
)
def test_a_level_may_be_written_as_in_rust(value: str, level: str) -> None:
    Path(".env").write_text(f"RUST_LOG={value}\n")

    assert read(UpSettings, []).log_level == level
