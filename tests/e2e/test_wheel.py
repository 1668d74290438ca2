"""The wheel, installed into an environment of its own, in a folder with files whose names are common ones.

Only its dependencies come from the environment of the tests: none of our code is found there without the wheel.
"""

import os
import signal
import site
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

PACKAGES = {f"autobatch_{part}" for part in ("shared", "proxy", "batcher", "embedder", "console", "bench")}
STRANGERS = ("autobatch", "proxy", "batcher", "embedder", "console", "bench", "http", "queue", "redis", "requests")
START_S = 60.0
HELLO_WORLD = [-0.03447726, 0.03102321, 0.00673492, 0.02610902, -0.03936195]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    install = ("--python", python, "install", "--no-index", "--no-deps", "--disable-pip-version-check", wheel)
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return python.parent


@pytest.fixture
def folder() -> Iterator[Path]:
    """A working folder that has a module of each common name; its path is short enough for a unix socket."""
    with TemporaryDirectory(prefix="ab-") as name:
        for stranger in STRANGERS:
            (Path(name) / f"{stranger}.py").write_text(f"raise SystemExit('{stranger}.py of the working folder ran')")
        yield Path(name)


@pytest.fixture
def start(programs: Path, folder: Path) -> Iterator[Callable[..., Process]]:
    """Start a command of the wheel, with settings."""

    class Installed(Process):
        def command(self, _folder: Path, module: str) -> list[str]:
            return [str(programs / "autobatch"), module]

    started: list[Process] = []

    def one(command: str, **settings: object) -> Process:
        started.append(Installed(folder, command, pythonpath="", **settings))
        return started[-1]

    yield one
    for process in reversed(started):
        process.close()


def output_of(programs: Path, folder: Path, *argv: str) -> str:
    """Run a program of the environment to its end; return what it printed."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [programs / argv[0], *argv[1:]], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def answers_hello_world(port: int, process: Process) -> None:
    """Return when the proxy at a port has answered with the model's vector; fail when the process ends."""
    async with aiohttp.ClientSession() as http:

        async def vector() -> list[float] | None:
            assert process.is_running, process.output
            try:
                async with http.post(f"http://127.0.0.1:{port}/embed", json={"inputs": "hello world"}) as answer:
                    return (await answer.json())[0][:5] if answer.status == 200 else None
            except aiohttp.ClientConnectionError:
                return None

        await wait_until(vector, START_S)
        assert await vector() == pytest.approx(HELLO_WORLD, abs=1e-4)


def test_the_wheel_has_what_runs_under_names_of_its_own_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    metadata = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
    assert metadata.startswith("autobatch_proxy-")
    assert {name.partition("/")[0] for name in names} == PACKAGES | {metadata}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert "autobatch_console/nginx/nginx.conf" in names
    assert "autobatch_proxy/docs/index.html" in names
    tree = {path.name for path in ROOT.glob("autobatch/autobatch_shared/redis/scripts/*.lua")}
    assert tree
    assert {f"autobatch_shared/redis/scripts/{name}" for name in tree} <= set(names)


def test_the_code_is_the_wheels(programs: Path, folder: Path) -> None:
    where = f"import {', '.join(PACKAGES)}; print({', '.join(f'{name}.__file__' for name in PACKAGES)}, sep='\\n')"
    found = output_of(programs, folder, "python", "-P", "-c", where).split()
    assert len(found) == len(PACKAGES)
    assert all(Path(file).is_relative_to(programs.parent) for file in found)


def test_the_version_is_the_wheels(wheel: Path, programs: Path, folder: Path) -> None:
    assert output_of(programs, folder, "autobatch", "--version").strip() == wheel.name.split("-")[1]


async def test_up_answers_with_a_vector_and_stops_cleanly(start: Callable[..., Process]) -> None:
    port = free_port()
    up = start("up", host="127.0.0.1", port=port, embedder_port=0, batcher_port=0, web_concurrency=1)
    await answers_hello_world(port, up)
    up.signal(signal.SIGTERM)
    assert up.wait() == 0, up.output


async def test_the_processes_that_are_started_one_by_one_answer_with_a_vector(
    start: Callable[..., Process], redis_url: str
) -> None:
    port, embedder_port = free_port(), free_port()
    start("embedder", embedder_port=embedder_port)
    start("batcher", redis_url=redis_url, inference_url=f"http://127.0.0.1:{embedder_port}", batcher_port=0)
    proxy = start("proxy", redis_url=redis_url, host="127.0.0.1", port=port, web_concurrency=1)
    await answers_hello_world(port, proxy)
    proxy.signal(signal.SIGTERM)  # to the command's own pid: the server has taken its place
    assert proxy.wait() == 0, proxy.output


def test_the_bench_measures(programs: Path, folder: Path) -> None:
    few = ("--seconds", "0.1", "--rounds", "1", "--concurrency", "1", "--workers", "1")
    assert '"right":' in output_of(programs, folder, "autobatch", "bench", "run", "--json", *few)
