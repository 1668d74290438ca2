"""The deployment is complete: probes, limits, no privileges, and everything that it names exists."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autobatch_shared.settings.definitions import PROCESSES, BatcherSettings, CommonSettings, ProxySettings
from autobatch_shared.settings.foreign_names import is_opentelemetrys
from autobatch_shared.settings.loading import names_of
from tests.support.paths import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
SETTINGS = {
    alias.upper()
    for process in PROCESSES.values()
    for name, field in process.model_fields.items()
    for alias in names_of(name, field)
} | {"API_KEYS_FILE"}

Manifest = dict[str, Any]


def manifests() -> list[Manifest]:
    """All objects of `apply -k`, before kustomize changes them."""
    files = [path for path in sorted(KUBERNETES.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [each for path in files for each in yaml.safe_load_all(path.read_text()) if each]


def deployments() -> list[Any]:
    return [pytest.param(each, id=each["metadata"]["name"]) for each in manifests() if each["kind"] == "Deployment"]


def containers(deployment: Manifest) -> list[Manifest]:
    found: list[Manifest] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def walk(node: object) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from walk(value)
    elif isinstance(node, list):
        for each in node:
            yield from walk(each)


def test_every_part_is_there() -> None:
    assert {each.id for each in deployments()} == {"redis", "batcher", "proxy", "nginx"}
    budgets = {each["metadata"]["name"] for each in manifests() if each["kind"] == "PodDisruptionBudget"}
    assert budgets == {"batcher", "proxy", "nginx"}


@pytest.mark.parametrize("deployment", deployments())
def test_every_container_has_probes_and_limits_and_no_privileges(deployment: Manifest) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in containers(deployment):
        assert container["readinessProbe"]
        assert container["livenessProbe"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize(
    ("name", "ready", "live"),
    [
        ("proxy", "/ready", "/live"),
        ("batcher", "/health", "/live"),  # no client reaches it: a rollout waits until it can call its upstream
        ("nginx", "/nginx/live", "/nginx/live"),
    ],
)
def test_no_outage_of_the_upstream_takes_a_pod_out_of_its_service(name: str, ready: str, live: str) -> None:
    """Nor restarts it. Liveness is a route: a process that hangs still accepts TCP connections."""
    (deployment,) = (each for each in manifests() if each["kind"] == "Deployment" and each["metadata"]["name"] == name)
    (container,) = containers(deployment)
    assert container["readinessProbe"]["httpGet"]["path"] == ready
    assert container["livenessProbe"]["httpGet"]["path"] == live


def test_the_route_of_nginxs_own_probes_is_there() -> None:
    for place in ("nginx/compose", "deploy/kubernetes/nginx"):
        assert "location = /nginx/live { " in (ROOT / place / "listen.conf").read_text()


def test_pods_have_the_time_to_finish() -> None:
    grace_s = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
        for each in manifests()
        if each["kind"] == "Deployment"
    }
    assert grace_s["batcher"] > default(BatcherSettings, "drain_timeout_ms") / 1000
    assert grace_s["proxy"] > 5 + default(ProxySettings, "request_timeout_ms") / 1000 + 5
    assert grace_s["nginx"] > 5 + default(ProxySettings, "request_timeout_ms") / 1000


def default(process: type[CommonSettings], name: str) -> Any:
    return process.model_fields[name].default


def test_whatever_is_named_is_there() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    generated = {
        each["name"]: each for kind in ("configMapGenerator", "secretGenerator") for each in kustomization[kind]
    }
    for folder in (ROOT / "deploy" / "redis", ROOT / "nginx"):
        (generator,) = yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
        assert all((folder / file).is_file() for file in generator["files"])
        generated[generator["name"]] = generator
    named = set()
    for deployment in manifests():
        for key, value in walk(deployment):
            if key in ("configMapKeyRef", "configMapRef", "configMap", "secretKeyRef"):
                named.add(value["name"])
            elif key == "secret":
                named.add(value["secretName"])
            elif key == "volumeMounts":
                pod = deployment["spec"]["template"]["spec"]
                assert {mount["name"] for mount in value} == {volume["name"] for volume in pod["volumes"]}
    assert named == generated.keys()
    for file in kustomization["resources"]:
        assert (KUBERNETES / file).exists()
    listed = {Path(file).name for file in kustomization["resources"]}
    assert {path.name for path in KUBERNETES.glob("*.yaml")} - listed == {
        "kustomization.yaml",
        "upstream-policy.yaml",
        "service-monitor.yaml",
    }


def test_every_variable_is_a_setting() -> None:
    """A misspelt one would be ignored, perhaps the one that requires a key."""
    given = {line.partition("=")[0] for line in (KUBERNETES / "settings.env").read_text().splitlines()}
    for deployment in manifests():
        if deployment["kind"] == "Deployment" and deployment["metadata"]["name"] in ("proxy", "batcher"):
            given |= {each["name"] for each in containers(deployment)[0]["env"]}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    given |= {name for service in ("proxy", "batcher") for name in compose["services"][service]["environment"]}
    assert {name for name in given - SETTINGS if not is_opentelemetrys(name)} == {"REDIS_PASSWORD"}


def test_only_workers_and_batchers_reach_redis() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in manifests() if each["kind"] == "NetworkPolicy"}
    assert policies["nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (rule,) = policies["redis"]["ingress"]
    ((_, selector),) = rule["from"][0].items()
    labelled = {
        each["metadata"]["name"]
        for each in manifests()
        if each["kind"] == "Deployment"
        and selector["matchLabels"].items() <= each["spec"]["template"]["metadata"]["labels"].items()
    }
    assert labelled == {"proxy", "batcher"}


def test_in_compose_only_workers_and_batchers_share_a_network_with_redis() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    assert services["redis"]["networks"] == ["queue"]
    assert compose["networks"]["queue"] == {"internal": True}
    assert {name for name, each in services.items() if "queue" in each.get("networks", ())} == {
        "redis",
        "proxy",
        "batcher",
    }
    assert {name for name, each in services.items() if "ports" in each} == {"nginx", "prometheus", "grafana"}
    for name in ("prometheus", "grafana"):  # both show all to any client that asks
        assert services[name]["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])
    assert services["names"]["network_mode"] == "none"  # it has all of `.env`
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only") or name == "upstream"


def test_the_image_is_nobodys() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    assert lines.index(users[0]) > max(place for place, line in enumerate(lines) if line.startswith(("RUN", "COPY")))


@pytest.mark.parametrize("extra", ["embedder", "otel", "quickstart", "triton"])
def test_the_image_has_the_packages_of_each_extra(extra: str) -> None:
    """Without those of gRPC a batcher in a container would refuse to start before Triton, and any process with traces."""
    assert "-r /requirements/run.lock" in (ROOT / "deploy" / "Dockerfile").read_text()
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements" / "run.lock").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[<>=]", each)[0] for each in project["optional-dependencies"][extra]}
    assert needed - pinned == set()


@pytest.fixture
def rendered(tmp_path: Path) -> list[Manifest]:
    """The objects of `apply -k`, made in a copy as its head describes."""
    if not shutil.which("kubectl") or not shutil.which("openssl"):
        pytest.skip("needs kubectl and openssl")
    for folder in ("deploy", "nginx"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("secrets"))
    copy = tmp_path / "deploy" / "kubernetes"
    made = subprocess.run([copy / "make-secrets"], capture_output=True, check=True, text=True)
    assert re.fullmatch(r"API key \(only its hash is kept\): [0-9a-f]{64}\n", made.stdout.replace("ca.crt\n", ""))
    again = subprocess.run([copy / "make-secrets"], capture_output=True, check=True, text=True)
    assert again.stdout == ""
    done = subprocess.run(["kubectl", "kustomize", copy], capture_output=True, check=True, text=True)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_it_renders_and_every_reference_leads_somewhere(rendered: list[Manifest]) -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in rendered}
    for manifest in rendered:
        assert manifest["metadata"].get("namespace", "autobatch") == "autobatch"
        for key, value in walk(manifest):
            if key in ("configMapKeyRef", "configMapRef", "configMap"):
                assert ("ConfigMap", value["name"]) in names
            elif key == "secretKeyRef":
                assert ("Secret", value["name"]) in names
            elif key == "secret":
                assert ("Secret", value["secretName"]) in names
    (keys,) = (each for each in rendered if each["kind"] == "Secret" and each["metadata"]["name"] == "api-keys")
    assert json.dumps(keys).count("c2hhMjU2O") == 1  # `sha256:`, and no plain key
