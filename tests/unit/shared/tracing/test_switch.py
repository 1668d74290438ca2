"""OpenTelemetry's variables switch traces on; what would end in none without a word is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.tracing.switch import is_on, open_tracing, refuse_unusable, take_env_file

URL = "http://collector:4318"
ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL}

pytestmark = pytest.mark.usefixtures("nothing_is_set")


@pytest.mark.parametrize("variables", [ON, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": URL}])
def test_an_endpoint_switches_traces_on(variables: dict[str, str]) -> None:
    assert is_on(variables)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_SERVICE_NAME": "mine"},
        ON | {"OTEL_SDK_DISABLED": "true"},
        ON | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_one_or_where_they_are_disabled_there_are_none(variables: dict[str, str]) -> None:
    assert not is_on(variables)
    refuse_unusable(variables, lambda _package: False)


def test_traces_without_their_packages_are_refused_with_what_to_type() -> None:
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .* `pip install 'autobatch-proxy\[otel\]"):
        refuse_unusable(ON, lambda _package: False)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "must be http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "must be http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "must be otlp or none"),
    ],
)
def test_what_is_not_spoken_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        refuse_unusable(ON | variables, lambda _package: True)


def test_names_of_opentelemetry_count_in_an_env_file_too_but_less_than_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={URL}\nOTEL_SERVICE_NAME=file\nMAX_BATCH_SIZE=8\n")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "environment")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    take_env_file()

    assert (URL, "environment") == (os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], os.environ["OTEL_SERVICE_NAME"])
    assert "MAX_BATCH_SIZE" not in os.environ


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported() -> None:
    """Beside what redis-py imports by itself, for metrics of its own, where it is installed."""
    code = (
        "import asyncio, sys, redis.asyncio\n"
        "before = set(sys.modules)\n"
        "import autobatch_proxy.__main__, autobatch_batcher.__main__, autobatch_batcher.app, autobatch_proxy.app\n"
        "from autobatch_shared.settings.definitions import ProxySettings\n"
        "async def make(): autobatch_proxy.app.make_app(ProxySettings())\n"
        "asyncio.run(make())\n"
        "print([name for name in set(sys.modules) - before if name.startswith(('opentelemetry', 'requests'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"
    assert open_tracing("autobatch-proxy") is None
