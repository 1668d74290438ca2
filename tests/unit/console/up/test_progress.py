"""What `autobatch up` prints when everything works."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from autobatch_console.supervising.first_vector import Offering
from autobatch_console.up.parts import Part, Ready
from autobatch_console.up.progress import ProgressReport
from autobatch_console.up.run_folder import RunFolder
from autobatch_console.up.settings import UpSettings

KEY = "hunter2"
SERVED = Offering("bge-m3", "embedding", 1024, 32, 2048, 8192)
BATCHER = Part("batcher", (), Ready("http"), "http://127.0.0.1:13000")


def told(
    capsys: pytest.CaptureFixture[str], origins: Sequence[str] = (), parts: Sequence[Part] = (), **settings: Any
) -> str:
    values = {name: field.default for name, field in UpSettings.model_fields.items()} | settings
    report = ProgressReport(settings_of_all := UpSettings.model_construct(**values), [settings_of_all], origins)
    report.ready({"": SERVED}, (BATCHER, *parts), RunFolder(Path("/run/ab"), is_temporary=True), verbose=False)
    return capsys.readouterr().out


@pytest.mark.parametrize("keys", [{"api_keys": SecretStr(KEY)}, {"api_keys_file": "/keys"}])
def test_with_keys_the_call_has_a_place_for_one_and_no_key(
    capsys: pytest.CaptureFixture[str], keys: dict[str, Any]
) -> None:
    """Without it, the printed command would get a 401."""
    output = told(capsys, **keys)

    assert '-H "authorization: Bearer $KEY"' in output
    assert "KEY=...  # one of API_KEYS or API_KEYS_FILE" in output
    assert KEY not in output
    assert "open " not in output


def test_without_keys_the_call_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    output = told(capsys)

    assert "curl -s localhost:3000/embed" in output
    assert "KEY=" not in output
    assert "Bearer" not in output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.test"])
def test_an_open_door_is_said(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert f"open     to all who reach {host}:3000" in told(capsys, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_this_machine_only_no_door_is_open(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert "open " not in told(capsys, host=host)


def test_the_command_that_watches_this_fleet_is_said_as_it_has_to_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    own = Part("redis", (), Ready("http"), "/run/ab/redis.sock")
    watch = "  watch    http://localhost:3000/dashboard  autobatch top"
    assert f"{watch} --redis-url unix:///run/ab/redis.sock\n" in told(capsys, parts=[own])
    assert f"{watch} --namespace other\n" in told(capsys, namespace="other"), "REDIS_URL is set for both"


def test_what_is_served_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = "  serves   bge-m3, 1024 dimensions, 32 inputs a call, 2048 a request, 8192 tokens an input\n"
    assert line in told(capsys)


def test_where_settings_came_from_is_one_line_if_any_is_not_as_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert "  set      PORT=3001 (flag), NAMESPACE=x (.env)\n" in told(
        capsys, ("PORT=3001 (flag)", "NAMESPACE=x (.env)")
    )
    assert "  set  " not in told(capsys)


@pytest.mark.parametrize(("has_default", "path"), [(False, "/org/large/embed"), (True, "/embed")])
def test_each_model_has_its_line_and_the_call_names_one_where_it_must(
    capsys: pytest.CaptureFixture[str], *, has_default: bool, path: str
) -> None:
    values = {name: field.default for name, field in UpSettings.model_fields.items()}
    models = [
        UpSettings.model_construct(**values | {"served_model_name": "org/large"}),
        UpSettings.model_construct(**values | {"served_model_name": "small", "model_is_default": has_default}),
    ]
    report = ProgressReport(UpSettings.model_construct(**values), models, ())
    redis = Part("redis", (), Ready("redis"), "/run/ab/redis.sock")
    folder = RunFolder(Path("/run/ab"), is_temporary=True)
    report.ready({"org/large": SERVED, "small": SERVED}, (redis, BATCHER), folder, verbose=False)
    output = capsys.readouterr().out

    assert "  serves   org/large: bge-m3, 1024 dimensions" in output
    assert "  serves   small: bge-m3, 1024 dimensions" in output
    assert f"curl -s localhost:3000{path} -H" in output
    assert "LRANGE '{autobatch}:m:small:jobs' 0 -1" in output
