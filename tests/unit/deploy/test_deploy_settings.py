"""Every setting, by each of its names, reaches its container: none is dropped."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from annotated_types import Ge
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from autobatch_shared.settings.definitions import PROCESSES
from autobatch_shared.settings.foreign_names import COMPOSE_NAMES, is_opentelemetrys
from autobatch_shared.settings.loading import every_name, names_of, read
from tests.support.paths import ROOT

COMPOSE_FILES = (
    ROOT / "docker-compose.yml",
    ROOT / "deploy" / "upstreams.yml",
    ROOT / "deploy" / "compose.tls.yml",
)
KUBERNETES = ROOT / "deploy" / "kubernetes"
SERVICES = {"proxy": "proxy", "batcher": "batcher", "embedder": "upstream"}
FIXED_IN_COMPOSE = {
    "host": "nginx listens for people",
    "port": "nginx listens for people",
    "uds_path": "nginx finds workers by TCP",
    "batcher_host": "the health check asks it",
    "batcher_port": "the health check asks it",
    "embedder_host": "the batcher asks it",
    "embedder_port": "the batcher asks it",
    "embedder_cache_dir": "the image has the graph",
}
FROM_SECRETS = {"redis_url", "api_keys_file", "inference_api_key", "inference_headers"}  # in Kubernetes
INNERMOST = re.compile(r"\$\{(\w+)(?::([-+])([^${}]*))?\}")
SAMPLES = {
    "embedder_pooling": "cls",
    "embedder_quantize": "int8",
    "input_type_prompts": "search_query=query",
    "batch_policy": "full",
    "inference_dialect": "openai",
    "inference_headers": "api-key=other",
    "redis_url": "redis://other:6380/1",
    "inference_url": "http://other:81",
}
EVERY = [
    pytest.param(process, name, alias, id=f"{process}-{alias}")
    for process, settings in PROCESSES.items()
    for name, field in settings.model_fields.items()
    for alias in names_of(name, field)
]

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def interpolated(node: Any, given: Mapping[str, str]) -> Any:
    """Replace `${NAME}`, `${NAME:-else}` and `${NAME:+then}`, the innermost first, as docker compose does."""
    if isinstance(node, dict):
        return {key: interpolated(value, given) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value, given) for value in node]
    if not isinstance(node, str):
        return node

    def value(match: re.Match[str]) -> str:
        name, kind, other = match.groups()
        if kind == "+":
            return other if given.get(name) else ""
        return given.get(name) or other or ""

    while INNERMOST.search(node):
        node = INNERMOST.sub(value, node)
    return node


@cache
def parsed(file: Path) -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(file.read_text())["services"]
    return services


def service(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """A service of docker-compose.yml with `given` as `.env`."""
    made: dict[str, Any] = interpolated(parsed(COMPOSE_FILES[0])[name], given)
    if "extends" in made:
        base = interpolated(parsed(ROOT / made["extends"]["file"])[made["extends"]["service"]], given)
        made = {**base, **made, "volumes": [*base.get("volumes", []), *made.get("volumes", [])]}
    values = made.get("environment", {})
    made["environment"] = {key: given.get(key) if value is None else value for key, value in values.items()}
    return made


def sample(name: str, field: FieldInfo) -> str:
    """A value that is allowed and is not the default."""
    if name in SAMPLES:
        return SAMPLES[name]
    if get_origin(field.annotation) is Literal:
        return str(next(choice for choice in get_args(field.annotation) if choice != field.default))
    if field.annotation is bool:
        return str(not field.default).lower()
    lowest = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), None)
    return f"some-{name}" if lowest is None else str(int(str(lowest)) + 1)


def is_path(name: str) -> bool:
    return name.endswith(("_file", "_dir"))


@pytest.mark.parametrize(("process", "name", "alias"), EVERY)
def test_in_compose_every_name_of_every_setting_reaches_its_container(
    monkeypatch: pytest.MonkeyPatch, process: str, name: str, alias: str
) -> None:
    """Without its key a service would be open; a path is on the host and must be mounted."""
    settings = PROCESSES[process]
    given = {alias.upper(): sample(name, settings.model_fields[name]), "UPSTREAM": "embedder"}
    made = service(SERVICES[process], given)

    for key, value in made["environment"].items():
        if value is not None:
            monkeypatch.setenv(key, value)
    arrived = getattr(read(settings, []), name)
    text = arrived.get_secret_value() if isinstance(arrived, SecretStr) else arrived
    expected = given[alias.upper()]
    if name in FIXED_IN_COMPOSE:
        assert alias.upper() not in made["environment"]
        return
    if is_path(name):
        sources = {volume["target"]: volume["source"] for volume in made["volumes"] if isinstance(volume, dict)}
        assert sources.get(text) == expected
        return
    assert (str(text).lower() if isinstance(text, bool) else str(text)) == expected


@pytest.mark.parametrize("name", sorted(FIXED_IN_COMPOSE))
def test_what_compose_fixes_is_told_where_people_look(name: str) -> None:
    head, _, _ = COMPOSE_FILES[0].read_text().partition("services:")
    assert re.search(rf"\b{name.upper()}\b", head)


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({}, ":3000:3000"),
        ({"PORT": "80"}, ":80:3000"),
        ({"HOST": "127.0.0.1"}, "127.0.0.1:3000:3000"),
        ({"IP": "127.0.0.1", "PORT": "3001"}, "127.0.0.1:3001:3000"),
        ({"HOST": "10.0.0.1", "IP": "127.0.0.1"}, "10.0.0.1:3000:3000"),
    ],
)
def test_the_public_address_is_published_as_it_is_set(given: dict[str, str], port: str) -> None:
    """Or `IP=127.0.0.1` would listen to the whole network."""
    assert service("nginx", given)["ports"] == [port]


@pytest.mark.parametrize("name", ["proxy", "upstream"])
def test_without_a_path_nothing_of_this_machine_is_mounted(name: str) -> None:
    made = service(name, {"UPSTREAM": "embedder"})
    mounted = [volume for volume in made["volumes"] if isinstance(volume, dict)]
    assert {volume["source"] for volume in mounted} == {"/dev/null"}
    assert all(volume["read_only"] and not volume["bind"]["create_host_path"] for volume in mounted)
    assert not any(made["environment"].get(key.upper()) for key in every_name() if is_path(key))


def test_an_upstream_of_others_is_not_hidden_by_our_own() -> None:
    assert service("batcher", {})["environment"]["INFERENCE_URL"] == "http://upstream:8080"


def test_the_names_that_are_docker_composes_are_those_that_its_files_take() -> None:
    """They may be in `.env` together with our settings and with OpenTelemetry's names, and no others may."""
    taken = {name for file in COMPOSE_FILES for name in re.findall(r"\$\{(\w+)", file.read_text())}
    for file in COMPOSE_FILES:
        for each in parsed(file).values():
            taken |= {name for name, value in (each.get("environment") or {}).items() if value is None}
    others = {name for name in taken if name.lower() not in every_name()}
    assert {name for name in others if not is_opentelemetrys(name)} == COMPOSE_NAMES


@pytest.mark.parametrize("process", ["proxy", "batcher"])
def test_what_opentelemetry_takes_reaches_the_containers_of_all_that_write_spans(process: str) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_SAMPLER": "always_off"}
    assert service(process, given)["environment"].items() >= given.items()


@pytest.mark.parametrize(("process", "name"), [(p, n) for p in ("proxy", "batcher") for n in PROCESSES[p].model_fields])
def test_in_kubernetes_every_setting_of_the_settings_file_reaches_its_container(process: str, name: str) -> None:
    """A manifest's own values override the settings file, so only values made from secrets may be there."""
    documents = yaml.safe_load_all((KUBERNETES / f"{process}.yaml").read_text())
    (deployment,) = (each for each in documents if each and each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": "settings"}}]
    own = {each["name"].lower() for each in container["env"]}
    assert (name in own) == (name in FROM_SECRETS)


def test_docker_compose_itself_renders_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["docker", "compose", "version"]
    if not shutil.which("docker") or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("needs docker compose")
    for name, value in (("API_KEY", "k"), ("TOKENIZER_FILE", "tokenizer.json"), ("IP", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    command = ["docker", "compose", "-f", str(COMPOSE_FILES[0]), "config"]
    made = yaml.safe_load(subprocess.run(command, capture_output=True, check=True, text=True).stdout)["services"]
    assert made["proxy"]["environment"]["API_KEY"] == "k"
    assert made["proxy"]["environment"]["TOKENIZER_FILE"] == "/files/tokenizer.json"
    assert str(ROOT / "tokenizer.json") in {volume["source"] for volume in made["proxy"]["volumes"]}
    assert made["nginx"]["ports"][0]["host_ip"] == "127.0.0.1"
