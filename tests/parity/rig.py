"""The two servers that are compared, as processes: an upstream, and a proxy with its Redis, batcher and worker."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.parity.cases.case import Facts, Json, Kind
from tests.parity.server import RestartableServer
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.redis_server import RedisServer

START_S = 60.0  # for all processes to start on a busy machine
TIMEOUT_MS = 600_000  # so that a busy machine does not refuse a burst because of the usual deadline


@dataclass(frozen=True, slots=True)
class ParityRig:
    """The two servers.

    Attributes:
        server: The upstream.
        proxy: Where the proxy listens.
        started: Their processes, except those that were running before.
    """

    server: RestartableServer
    proxy: str
    started: tuple[Process, ...] = ()

    @property
    def upstream(self) -> str:
        """The upstream's URL."""
        return self.server.url

    def recover(self) -> None:
        """Start the upstream unless it is healthy, and wait until the proxy has noticed.

        Raises:
            UpstreamEndedError: It cannot be started.
        """
        if not self.server.is_healthy():
            self.server.start()
        _wait_until_healthy([self.upstream, self.proxy], self.started)


@contextmanager
def running(
    server: RestartableServer | None = None, proxy: str | None = None, *, is_twin: bool = False
) -> Iterator[ParityRig]:
    """Start what is not given: the packaged embedder as the upstream, and a proxy; or the embedder as the twin.

    Raises:
        UpstreamEndedError: The given server is not running, and cannot be started.
    """
    with TemporaryDirectory(prefix="ab-") as name, ExitStack() as stack:
        folder = Path(name)

        def start(module: str, **settings: object) -> Process:
            process = Process(folder, module, log_level="warning", **settings)
            stack.callback(process.close)
            return process

        started = []
        # A retried refusal stays the same, and hundreds of cases are refused: with retries, each would take 0.25 s.
        # A server that a case may crash is retried, or the cases at the same time would be refused, too.
        is_mortal = server is not None
        upstream_side: dict[str, object] = {} if is_mortal else {"upstream_attempts": 1}
        if server is None or is_twin:
            port = free_port()
            embedder = f"http://127.0.0.1:{port}"
            started.append(start("embedder", embedder_port=port))
            proxy = embedder if is_twin else proxy
        if server is None:
            server = RestartableServer(embedder)
        else:
            stack.callback(server.close)
            if not server.is_healthy():
                server.start()
        if proxy is None:
            redis = RedisServer(folder)
            stack.callback(redis.kill)
            redis.start()
            port = free_port()
            proxy = f"http://127.0.0.1:{port}"
            both = {"redis_url": redis.url, "namespace": "parity"}
            upstream_side["inference_url"] = server.url
            started.append(start("batcher", batcher_host="127.0.0.1", batcher_port=0, **upstream_side, **both))
            # TEI accepts the model's own ids; their refusal by default is not a difference of answers.
            worker: dict[str, object] = {"web_concurrency": 1, "openai_token_ids": "model"}
            if not is_mortal:
                worker["request_timeout_ms"] = TIMEOUT_MS
            started.append(start("proxy", host="127.0.0.1", port=port, **worker, **both))
        rig = ParityRig(server, proxy, tuple(started))
        _wait_until_healthy([rig.upstream, rig.proxy], rig.started)
        yield rig


def facts_of(url: str) -> Facts:
    """Ask a TEI which model it serves."""
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
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _wait_until_healthy(urls: list[str], started: Sequence[Process]) -> None:
    deadline = time.monotonic() + START_S
    for url in urls:
        while not _is_healthy(url):
            for process in started:
                assert process.is_running, process.output
            assert time.monotonic() < deadline, f"{url} is not healthy\n" + "\n".join(p.output for p in started)
            time.sleep(0.02)


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=60) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
