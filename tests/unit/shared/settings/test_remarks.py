"""What is said at the start about settings that are right and may not be what was meant."""

from pathlib import Path

import pytest

from autobatch_console.up.settings import UpSettings
from autobatch_shared.settings.definitions import BatcherSettings, ProxySettings
from autobatch_shared.settings.loading import read
from autobatch_shared.settings.remarks import remarks_of

SECRET = "hunter2"

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def test_usually_there_is_nothing_to_say() -> None:
    for settings in (ProxySettings, BatcherSettings, UpSettings):
        assert remarks_of(read(settings, ["--port", "1"] if settings is not BatcherSettings else [])) == []


def test_a_route_in_place_of_a_server_is_said_without_its_password() -> None:
    url = f"http://me:{SECRET}@a:81/embed,http://b/,http://c/base/embed"
    (first, second) = remarks_of(read(BatcherSettings, ["--inference-url", url]))

    assert first == "INFERENCE_URL: http://a:81/embed is the URL of a route; its server http://a:81 is used"
    assert second == "INFERENCE_URL: http://c/base/embed is the URL of a route; its server http://c/base is used"


def test_what_only_docker_compose_heeds_is_said() -> None:
    """With MODEL_ID in `.env`, our own model could be taken for it."""
    Path(".env").write_text(f"MODEL_ID=BAAI/bge-m3\nCOMPOSE_PROFILES=x\nREDIS_PASSWORD={SECRET}\n")

    assert remarks_of(read(ProxySettings, [])) == [
        ".env: MODEL_ID, REDIS_PASSWORD: for docker compose only, without effect here"
    ]


def test_a_folder_in_place_of_a_file_of_settings_is_said() -> None:
    """Docker makes one where a file that is to be mounted is missing."""
    Path(".env").mkdir()
    Path("config.toml").mkdir()

    assert remarks_of(read(ProxySettings, [])) == [
        ".env is a folder, so no setting is read from it",
        "config.toml is a folder, so no setting is read from it",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MAX_BACH_SIZE", "; did you mean MAX_BATCH_SIZE?"),
        ("INFERENCE_ULR", "; did you mean INFERENCE_URL?"),
        ("API_KEYSS", "; did you mean API_KEYS?"),
        ("INFERENCE_TIMEOUT_SECS", "; use UPSTREAM_TIMEOUT_MS, in milliseconds"),
    ],
)
def test_a_near_miss_in_the_environment_is_said_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setenv(name, SECRET)

    assert remarks_of(read(ProxySettings, [])) == [f"{name} in the environment is no setting{hint}"]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("MODEL_PATH", "what is served is EMBEDDER_MODEL_DIR or EMBEDDER_MODEL_ID, or the upstream at INFERENCE_URL"),
        ("NUM_WORKERS", "use WEB_CONCURRENCY"),
        ("WORKERS", "use WEB_CONCURRENCY"),
        ("NUM_THREADS", "use EMBEDDER_THREADS"),
        ("POOLING", "use EMBEDDER_POOLING; without it the model's own files say how to pool"),
        ("QUANTIZATION", "use EMBEDDER_QUANTIZE"),
    ],
)
def test_a_setting_of_the_embedding_server_in_the_environment_is_said_to_have_no_effect(
    monkeypatch: pytest.MonkeyPatch, name: str, instead: str
) -> None:
    """Otherwise the default model would answer, and nothing would say so."""
    monkeypatch.setenv(name, SECRET)

    assert remarks_of(read(ProxySettings, [])) == [f"{name} in the environment is no setting; {instead}"]


@pytest.mark.parametrize(
    "name",
    [
        "HOSTNAME",
        "OPENAI_API_KEY",
        "X_API_KEY",
        "DEBUG",
        "MODEL_NAME",
        "LOGNAME",
        "REDIS_HOST",
        "CONFIG",
        "SSL_CERT_FILE",
    ],
)
def test_other_programs_variables_are_not_worth_a_word(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")

    assert remarks_of(read(ProxySettings, [])) == []
