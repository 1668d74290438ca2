"""Clients generated from our OpenAPI document: they are generated without a warning, compile, and get the vector.

The generators are in an environment of their own, `.venv-generators`, which `make generators` creates.
"""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.servers.served_model import served_model

DOCUMENT = ROOT / "proxy" / "autobatch_proxy" / "docs" / "openapi.json"
PROGRAMS = Path(__file__).with_name("programs")
ENVIRONMENT = ROOT / ".venv-generators"
GENERATOR = "org.openapitools:openapi-generator-cli:7.25.0"
GENERATOR_SHA256 = "41ce4f6b07f196676439d710759fa1ced7a08066d06ff1bf314681470289efae"
DIMENSIONS = 384
TEXT = "a text, größer als ASCII"

pytestmark = pytest.mark.timeout(300)  # compilers


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_model() as started:
        yield started


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run to the end, and return the output."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(vector: str, url: str) -> None:
    """It is the vector that a plain request gets."""
    request = urllib.request.Request(
        f"{url}/embed",
        json.dumps({"inputs": TEXT, "truncation_direction": "left"}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        (expected,) = json.load(answer)
    assert len(expected) == DIMENSIONS
    assert json.loads(vector) == pytest.approx(expected, abs=1e-6)


def test_openapi_python_client(url: str, tmp_path: Path) -> None:
    binaries = ENVIRONMENT / "bin"
    if not (binaries / "openapi-python-client").exists():
        pytest.skip("no openapi-python-client: `make generators` installs it")
    search = {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}  # it calls the ruff of its own environment
    options: list[str | Path] = [
        "--path",
        DOCUMENT,
        "--output-path",
        tmp_path / "generated",
        "--meta",
        "none",
        "--fail-on-warning",
    ]
    run([binaries / "openapi-python-client", "generate", *options], tmp_path, search)

    vector = run([binaries / "python", PROGRAMS / "call.py", url, TEXT], tmp_path, {"PYTHONPATH": str(tmp_path)})

    check(vector, url)


def test_openapi_generator_for_go(url: str, tmp_path: Path) -> None:
    missing = [name for name in ("java", "go", "mvn") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    client = tmp_path / "client"
    run(["java", "-jar", generator(), "generate", "-g", "go", "-i", DOCUMENT, "-o", client, *OPTIONS], tmp_path)
    run(["go", "mod", "edit", "-module", "example.org/autobatch"], client)
    (client / "call").mkdir()
    shutil.copy(PROGRAMS / "call.go", client / "call")
    offline = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    run(["go", "vet", "./..."], client, offline)

    check(run(["go", "run", "./call", url, TEXT], client, offline), url)


OPTIONS = (
    "--package-name=autobatch",
    "--global-property=apiTests=false,modelTests=false,apiDocs=false,modelDocs=false",  # the tests need another module
)


def generator() -> Path:
    """The generator's archive, from Maven Central if it is not here yet."""
    group, name, version = GENERATOR.split(":")
    archive = ENVIRONMENT / f"{name}-{version}.jar"
    if not archive.exists():
        command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={group}:{name}:{version}"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={ENVIRONMENT}"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        if done.returncode:
            pytest.skip(f"Maven got no {GENERATOR}: {done.stdout.strip()[:200]}")
    assert sha256(archive.read_bytes()).hexdigest() == GENERATOR_SHA256
    return archive
