"""Servers of the Open Inference Protocol as real processes, in environments of their own: `make test-servers` makes these.

TRITON_PYTHON and MLSERVER_PYTHON name their interpreters; without them, those of `.venv-servers-triton` and `.venv-servers-mlserver`.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autobatch_embedder.model import graph_cache, model_folder
from tests.support.paths import ROOT
from tests.support.processes import free_port

HERE = Path(__file__).parent
START_S = 60.0


def interpreter(server: str) -> Path:
    """Return the interpreter of a server's environment; skip where there is none, which in CI is a failure."""
    python = Path(os.environ.get(f"{server.upper()}_PYTHON") or ROOT / f".venv-servers-{server}/bin/python")
    if not python.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{server} is not installed here: `make test-servers`")
    return python


def model_files(cache: Path) -> tuple[str, str]:
    """Return the files of the packaged model: its graph, which is built where the cache has none, and its tokenizer."""
    model = model_folder.find(None)
    graph = graph_cache.load(model, cache)
    assert isinstance(graph, Path)
    return str(graph), str(model.path / "tokenizer.json")


class InferenceServer:
    """One server on a port that it keeps over restarts."""

    def __init__(self, folder: Path, command: Callable[[int, int], list[str]], env: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"grpc://127.0.0.1:{self.port}"
        self._command = command(self.port, free_port())
        self._env = os.environ | {"HOME": str(folder)} | env
        self._folder = folder
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens later."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Kill it and all that it started."""
        if self._process is None:
            return
        for pid in [*descendants(self._process.pid), self._process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None

    @property
    def output(self) -> str:
        """The end of what it has written."""
        return self._log.read_text(errors="replace")[-2_000:]


def triton(folder: Path) -> InferenceServer:
    """Return a Triton, by pytriton; it needs the libpython of the interpreter of its environment."""
    python, files = interpreter("triton"), model_files(folder)
    asked = subprocess.run(
        [
            python,
            "-c",
            "import sysconfig; print(sysconfig.get_config_var('LIBDIR'), sysconfig.get_config_var('MULTIARCH') or '')",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    libraries = ":".join([asked[0], *(f"{asked[0]}/{each}" for each in asked[1:])])
    return InferenceServer(
        folder,
        lambda grpc, http: [str(python), str(HERE / "triton_server.py"), str(grpc), str(http), *files],
        {"LD_LIBRARY_PATH": libraries, "PATH": f"{python.parent}:{os.environ['PATH']}"},
    )


def mlserver(folder: Path) -> InferenceServer:
    """Return an MLServer."""
    python, (graph, tokenizer) = interpreter("mlserver"), model_files(folder)
    (folder / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "minilm",
                "implementation": "mlserver_runtime.EmbeddingModel",
                "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
                "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}],
                "parameters": {"version": "1", "extra": {"graph": graph, "tokenizer": tokenizer}},
            }
        )
    )

    def command(grpc: int, http: int) -> list[str]:
        (folder / "settings.json").write_text(
            json.dumps(
                {
                    "host": "127.0.0.1",
                    "grpc_port": grpc,
                    "http_port": http,
                    "metrics_port": free_port(),
                    "parallel_workers": 0,
                }
            )
        )
        return [str(python.parent / "mlserver"), "start", str(folder)]

    return InferenceServer(folder, command, {"PYTHONPATH": str(HERE), "PATH": f"{python.parent}:{os.environ['PATH']}"})


def descendants(pid: int) -> list[int]:
    """Return the pids of all that a process started and that is still there (Linux)."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found
