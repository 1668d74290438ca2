"""Embedding servers as real processes, in environments of their own: `make test-servers` makes these.

TRITON_PYTHON, MLSERVER_PYTHON, INFINITY_PYTHON and LLAMA_PYTHON name their interpreters; without them, those of `.venv-servers-triton`
and so on. TEI_START is the command that starts a text-embeddings-inference, with `{port}` in it; OLLAMA is Ollama's program, where it is
not in PATH; the embedder is in this environment.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from autobatch_embedder.model.network import graph
from autobatch_embedder.model_files import folder_reading
from tests.support.paths import ROOT
from tests.support.ports import free_port

Ports = tuple[int, int] | None  # None: free ones
PROGRAMS = Path(__file__).parent / "programs"  # run in the environments of the servers
START_S = (
    240.0  # to import PyTorch, transformers and scikit-learn is 6 s of CPU for infinity: 20 s beside ten other programs
)


def interpreter(server: str) -> Path:
    """Return the interpreter of a server's environment; skip where there is none, which in CI is a failure."""
    python = Path(os.environ.get(f"{server.upper()}_PYTHON") or ROOT / f".venv-servers-{server}/bin/python")
    if not python.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{server} is not installed here: `make test-servers`")
    return python


def model_files(folder: Path) -> tuple[str, str]:
    """Return the files of the packaged model: its padded graph, which is built into the folder, and its tokenizer."""
    model = folder_reading.find(None)
    file = folder / "minilm.onnx"
    file.write_bytes(graph.build_for(model, is_packed=False))
    return str(file), str(model.path / "tokenizer.json")


class InferenceServer:
    """One server on a port that it keeps over restarts; one with gRPC has another one for HTTP.

    Attributes:
        url: INFERENCE_URL.
        api_root: The path below it at which OpenAI's API begins, if it has that.
        companions_change: What a number of a text's vector differs by at most, whatever texts are in the same call.
    """

    def __init__(
        self,
        folder: Path,
        command: Callable[[int, int], list[str]],
        env: dict[str, str],
        *,
        ports: Ports = None,
        scheme: str = "http",
        api_root: str = "",
        companions_change: float = 2e-6,
    ) -> None:
        port, other = ports or (free_port(neighbours=1), free_port())  # a TEI's metrics are at the next one
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.api_root = api_root
        self.companions_change = companions_change
        self._command = command(port, other)
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

    def become(self) -> NoReturn:
        """Be it from now on, instead of the program that calls this."""
        os.chdir(self._folder)
        os.execve(self._command[0], self._command, self._env)

    def kill(self) -> None:
        """Kill it and all that it started."""
        if self._process is None:
            return
        self.signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started."""
        assert self._process is not None
        for pid in [*descendants(self._process.pid), self._process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @property
    def output(self) -> str:
        """The end of what it has written."""
        return self._log.read_text(errors="replace")[-2_000:]


def triton(folder: Path, ports: Ports = None) -> InferenceServer:
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
        lambda grpc, http: [str(python), str(PROGRAMS / "triton_server.py"), str(grpc), str(http), *files],
        {"LD_LIBRARY_PATH": libraries, "PATH": f"{python.parent}:{os.environ['PATH']}"},
        ports=ports,
        scheme="grpc",
    )


def mlserver(folder: Path, ports: Ports = None) -> InferenceServer:
    """Return an MLServer."""
    python, (network, tokenizer) = interpreter("mlserver"), model_files(folder)
    (folder / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "minilm",
                "implementation": "mlserver_runtime.EmbeddingModel",
                "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
                "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}],
                "parameters": {"version": "1", "extra": {"graph": network, "tokenizer": tokenizer}},
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

    path = f"{python.parent}:{os.environ['PATH']}"
    return InferenceServer(folder, command, {"PYTHONPATH": str(PROGRAMS), "PATH": path}, ports=ports, scheme="grpc")


def infinity(folder: Path, ports: Ports = None) -> InferenceServer:
    """Return an infinity, which computes the packaged model by PyTorch."""
    python, model = interpreter("infinity"), folder_reading.find(None).path
    options = (
        f"--model-id {model} --served-model-name minilm --engine torch --device cpu --dtype float32 --host 127.0.0.1"
        " --no-model-warmup --no-bettertransformer"
    )
    return InferenceServer(
        folder,
        lambda port, _: [str(python.parent / "infinity_emb"), "v2", *options.split(), "--port", str(port)],
        {"DO_NOT_TRACK": "1"},
        ports=ports,
    )


def gguf_file(folder: Path) -> Path:
    """Return the packaged model as llama.cpp reads it; the environment of its server has what makes it."""
    file = folder / "minilm.gguf"
    subprocess.run(
        [interpreter("llama"), PROGRAMS / "minilm_gguf.py", folder_reading.find(None).path, file], check=True
    )
    return file


def llama(folder: Path, ports: Ports = None) -> InferenceServer:
    """Return a llama.cpp by the server of llama-cpp-python, which leaves a vector as long as the network made it: about 5."""
    python, file = interpreter("llama"), gguf_file(folder)
    options = f"--model {file} --model_alias minilm --embedding true --host 127.0.0.1"
    return InferenceServer(
        folder,
        lambda port, _: [str(python), "-m", "llama_cpp.server", *options.split(), "--port", str(port)],
        {},
        ports=ports,
        api_root="/v1",
        companions_change=2e-3,
    )


def ollama(folder: Path, ports: Ports = None) -> InferenceServer:
    """Return an Ollama that has the model as `minilm:latest`; skip where there is none."""
    program = os.environ.get("OLLAMA") or shutil.which("ollama")
    if not program:
        pytest.skip(
            "no Ollama here: it is a program of its own, and no package index of Python's, Node's or Debian's has it"
        )
    (folder / "Modelfile").write_text(f"FROM {gguf_file(folder)}\n")
    server = InferenceServer(
        folder,
        lambda port, _: ["/bin/sh", "-c", f"OLLAMA_HOST=127.0.0.1:{port} exec {program} serve"],
        {"HOME": str(folder)},
        ports=ports,
        api_root="/v1",
    )
    server.start()
    env = os.environ | {"HOME": str(folder), "OLLAMA_HOST": server.url}
    give = f"until {program} list; do sleep 0.1; done; {program} create minilm -f {folder}/Modelfile"
    try:
        subprocess.run(["/bin/sh", "-c", give], env=env, check=True, capture_output=True, timeout=START_S)
    finally:
        server.kill()
    return server


def tei(folder: Path, ports: Ports = None) -> InferenceServer:
    """Return a text-embeddings-inference; skip where nothing says how one is started."""
    start = os.environ.get("TEI_START")
    if not start:
        pytest.skip('no real text-embeddings-inference: set TEI_START="command {port}" that starts one')
    return InferenceServer(
        folder,
        lambda port, _: ["/bin/sh", "-c", start.replace("{port}", str(port))],
        {"HOME": os.environ.get("HOME", str(folder))},  # where it may have its model
        ports=ports,
        api_root="/v1",
    )


def embedder(folder: Path, ports: Ports = None) -> InferenceServer:
    """Return the packaged embedder."""
    return InferenceServer(
        folder,
        lambda port, _: [sys.executable, "-P", "-m", "autobatch_embedder", "--embedder-port", str(port)],
        {"EMBEDDER_HOST": "127.0.0.1"},
        ports=ports,
        api_root="/v1",
    )


SERVERS = {
    "tei": tei,
    "embedder": embedder,
    "infinity": infinity,
    "llama": llama,
    "ollama": ollama,
    "triton": triton,
    "mlserver": mlserver,
}


def descendants(pid: int) -> list[int]:
    """Return the pids of all that a process started and that is still there (Linux)."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found
