"""The two that are compared, as processes: an upstream, and a proxy with its Redis, batcher and worker before it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.parity.cases import Facts, Json, Kind
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer

START_S = 30.0  # for all processes to start on a busy machine


@dataclass(frozen=True, slots=True)
class Rig:
    """Where the two listen."""

    upstream: str
    proxy: str


@contextmanager
def running(upstream: str | None = None, proxy: str | None = None) -> Iterator[Rig]:
    """Start what is not given: the packaged embedder as the upstream, and a proxy before it."""
    with TemporaryDirectory(prefix="ab-") as name, ExitStack() as stack:
        folder = Path(name)

        def start(module: str, **settings: object) -> Process:
            process = Process(folder, module, log_level="warning", **settings)
            stack.callback(process.close)
            return process

        started = []
        if upstream is None:
            port = free_port()
            upstream = f"http://127.0.0.1:{port}"
            started.append(start("embedder", embedder_port=port))
        if proxy is None:
            redis = RedisServer(folder)
            stack.callback(redis.kill)
            redis.start()
            port = free_port()
            proxy = f"http://127.0.0.1:{port}"
            both = {"redis_url": redis.url, "namespace": "parity"}
            # A refusal that is repeated is the same refusal, and hundreds of cases are refused: tried again, each takes 0.25 s.
            upstream_side = {"inference_url": upstream, "upstream_attempts": 1}
            started.append(start("batcher", batcher_host="127.0.0.1", batcher_port=0, **upstream_side, **both))
            started.append(start("proxy", host="127.0.0.1", port=port, web_concurrency=1, **both))
        _wait_until_healthy([upstream, proxy], started)
        yield Rig(upstream, proxy)


def facts_of(url: str) -> Facts:
    """Ask a TEI what model it serves."""
    info = _get(f"{url}/info")
    model: dict[str, Json] = info["model_type"]
    kind: Kind = "embedding"
    if "classifier" in model:
        kind = "classifier"
    elif "reranker" in model:
        kind = "reranker"
    elif model["embedding"]["pooling"] == "splade":
        kind = "splade"
    return Facts(
        kind=kind,
        inputs_max=info["max_client_batch_size"],
        tokens_max=info["max_input_length"],
        dimensions=len(_get(f"{url}/embed", b'{"inputs":"a"}')[0]) if kind == "embedding" else 0,
    )


def _get(url: str, body: bytes | None = None) -> Json:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def _wait_until_healthy(urls: list[str], started: list[Process]) -> None:
    deadline = time.monotonic() + START_S
    for url in urls:
        while not _is_healthy(url):
            for process in started:
                assert process.is_running, process.output
            assert time.monotonic() < deadline, f"{url} is not healthy\n" + "\n".join(p.output for p in started)
            time.sleep(0.02)


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
