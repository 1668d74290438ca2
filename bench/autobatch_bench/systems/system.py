"""Systems under test as processes on this machine: an upstream, Redis, and any number of proxies side by side.

A proxy is a batcher and gunicorn workers with settings of their own and a namespace of their own in the one Redis, so
that two ways of batching can be compared in one run on one upstream.

More than 250 lines, because what is described, started and waited for is one list of processes.
"""

import http.client
import itertools
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from autobatch_bench.load.traffic import Endpoint
from autobatch_bench.systems.outsider import Outsider
from autobatch_bench.systems.process_stats import children
from autobatch_console.preflight import ports
from autobatch_console.up import nginx_files
from autobatch_console.up.programs import find_nginx, find_redis, search_path
from autobatch_shared.settings.definitions import PROCESSES
from autobatch_shared.settings.loading import names_of

START_S = 60.0  # the embedder builds its graph at the first start
OUTSIDER_TRIES = 3
HOST = "127.0.0.1"
#: Below those of outgoing connections: each of these keeps its port for a minute after its end, and load makes thousands.
PORTS = range(20_000, 32_000)
EMBEDDER_THREADS = "2"

#: Settings that must not leak from the environment into the processes.
SETTINGS = {
    name for cls in PROCESSES.values() for key, field_ in cls.model_fields.items() for name in names_of(key, field_)
}


class UpstreamKind(StrEnum):
    """The kinds of upstream."""

    INSTANT = "instant"
    EMBEDDER = "embedder"
    TEI_QUEUE = "tei-queue"


class Loop(StrEnum):
    """Event loops of the fakes."""

    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


@dataclass(frozen=True, slots=True)
class ProxyPlan:
    """A proxy to start.

    Attributes:
        name: Of its side.
        settings: Environment variables in addition to those of every proxy.
        workers: gunicorn workers.
        batchers: Batchers before the one upstream.
        has_nginx: Whether nginx is started in front of it, as another side, `nginx`.
    """

    name: str = "proxy"
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = 2
    batchers: int = 1
    has_nginx: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """Where to send load, and whose CPU time and memory to read.

    Attributes:
        target: Address of the upstream, of a proxy's workers, or of nginx.
        pids: Role -> the processes that have it.
        metrics: Address of the batcher's `/metrics`.
        is_peer: Whether it is a proxy of others.
    """

    target: Endpoint
    pids: Mapping[str, Sequence[int]]
    metrics: Endpoint | None = None
    is_peer: bool = False


class SystemStartError(Exception):
    """A process did not start; the text has the end of its log."""


@contextmanager
def started(
    upstream: UpstreamKind | Outsider,
    loop: Loop = Loop.ASYNCIO,
    proxies: Sequence[ProxyPlan] = (ProxyPlan(),),
    peers: Sequence[Outsider] = (),
) -> Iterator[dict[str, Side]]:
    """Start everything, yield the sides by name, `direct` first, and stop it at the end.

    Args:
        upstream: What answers in the end.
        loop: Event loop of an upstream of our own.
        proxies: Of ours; each is a side, and its nginx another one.
        peers: Proxies of others, each a side.

    Raises:
        SystemStartError: Something did not become healthy.
        NotFoundError: There is no Redis.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="ab-")))
        crew = _Crew(stack, home)
        redis = find_redis(search_path())
        redis_socket = home / "redis.sock"
        redis_pid = crew.start((*redis.argv, "--port", "0", "--unixsocket", str(redis_socket), "--save", ""), {})
        if isinstance(upstream, Outsider):
            running = crew.start_outsider(upstream)
        else:
            running = crew.start_upstream(upstream, loop)
        shared = {"load tool": [os.getpid()], "upstream": [running.pid]}
        sides = {"direct": Side(running.target, shared)}
        for plan in proxies:
            env = {
                "REDIS_URL": f"unix://{redis_socket}",
                "NAMESPACE": f"bench-{plan.name}",
                "INFERENCE_URL": running.url,
            }
            sides |= crew.start_proxy(plan, env, {**shared, "redis": [redis_pid]})
        for peer in peers:
            proxy = crew.start_outsider(peer, running.url)
            sides[peer.name] = Side(proxy.target, {**shared, "peer": [proxy.pid]}, is_peer=True)
        yield sides


class StartedServer(NamedTuple):
    """A server that was started.

    Attributes:
        target: Where it is measured.
        url: Where proxies call it.
        pid: Of its process.
    """

    target: Endpoint
    url: str
    pid: int


class _Crew:
    """Starts processes that end with the stack."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self._stack = stack
        self._home = home
        self._taken: set[int] = set()
        self._clean = {name: value for name, value in os.environ.items() if name.lower() not in SETTINGS}
        self._clean["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path) or "."
        self._started: list[subprocess.Popen[bytes]] = []
        self._logs = itertools.count()

    def free_target(self) -> Endpoint:
        """Return a free address; the next port is free, too, as some servers take that one for their metrics."""
        while True:
            both = (port := random.SystemRandom().choice(PORTS), port + 1)
            if self._taken.isdisjoint(both) and all(ports.is_free(HOST, each) for each in both):
                self._taken.update(both)
                return Endpoint(HOST, port)

    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Start a process; return its pid."""
        with (self._home / f"{next(self._logs)}.log").open("wb") as log:
            process = subprocess.Popen(argv, env={**self._clean, **env}, cwd=self._home, stdout=log, stderr=log)
        self._started.append(process)
        self._stack.callback(_end, process)
        return process.pid

    def start_upstream(self, kind: UpstreamKind, loop: Loop) -> StartedServer:
        """Start an upstream of our own."""
        target = self.free_target()
        pid = self.start(*_upstream(kind, loop, target.port))
        self.wait_until_healthy(target)
        return StartedServer(target, f"http://{HOST}:{target.port}", pid)

    def start_outsider(self, program: Outsider, upstream: str = "", tries: int = OUTSIDER_TRIES) -> StartedServer:
        """Start a program of others; on other ports again if it ends at once, as it may need one that it was not given.

        It need not have a `/health`: proxies wait until an upstream answers.
        """
        target, grpc = self.free_target(), self.free_target()
        pid = self.start(program.argv(target.port, upstream, grpc.port), _of_others())
        process = self._started[-1]
        try:
            self._wait(target, _is_listening)
        except SystemStartError:
            if process.poll() is None or tries == 1:
                raise
            print(f"{program.name} ended before it listened on port {target.port}: trying another", file=sys.stderr)
            self._started.remove(process)
            return self.start_outsider(program, upstream, tries - 1)
        url = f"grpc://{HOST}:{grpc.port}" if program.has_grpc else f"http://{HOST}:{target.port}"
        return StartedServer(target, url, pid)

    def start_proxy(
        self, plan: ProxyPlan, env: Mapping[str, str], pids: Mapping[str, Sequence[int]]
    ) -> dict[str, Side]:
        """Start a batcher and workers, and nginx if the plan has it; return their sides."""
        env = {**env, **plan.settings}
        side_ports, target = [self.free_target() for _ in range(plan.batchers)], self.free_target()
        batchers = [
            self.start(_python("autobatch_batcher"), {**env, "BATCHER_HOST": HOST, "BATCHER_PORT": str(each.port)})
            for each in side_ports
        ]
        metrics = side_ports[0]
        edge = {"HOST": HOST, "PORT": str(target.port), "WEB_CONCURRENCY": str(plan.workers)}
        gunicorn = self.start(_python("autobatch_proxy"), {**env, **edge})
        self.wait_until_healthy(target)
        pids = {**pids, "batcher": batchers, "worker": children(gunicorn)}
        sides = {plan.name: Side(target, pids, metrics)}
        if plan.has_nginx:
            front, nginx = self._start_nginx(target)
            sides["nginx"] = Side(front, {**pids, "nginx": [nginx, *children(nginx)]}, metrics)
        return sides

    def _start_nginx(self, workers: Endpoint) -> tuple[Endpoint, int]:
        front, prefix = self.free_target(), self._home / "nginx"
        listen = nginx_files.listen_conf(
            HOST, front.port, payload_limit=2_000_000, request_timeout_ms=30_000, access_log="access.log"
        )
        nginx_files.write(prefix, f"server {HOST}:{workers.port};\n", listen)
        found, faults = find_nginx(search_path(), lambda argv: nginx_files.fault_of(argv, prefix))
        if found is None:
            raise SystemStartError("no nginx that works: " + "; ".join(faults))
        pid = self.start(nginx_files.argv(found.argv, prefix), {})
        self.wait_until_healthy(front)
        return front, pid

    def wait_until_healthy(self, target: Endpoint) -> None:
        """Wait for `/health`.

        Raises:
            SystemStartError: It took longer than `START_S`, or one of the processes ended.
        """
        self._wait(target, _is_healthy)

    def _wait(self, target: Endpoint, is_ready: Callable[[Endpoint], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not is_ready(target):
            has_ended = any(process.poll() is not None for process in self._started)
            if has_ended or time.monotonic() > deadline:
                logs = "".join(log.read_text()[-2000:] for log in sorted(self._home.glob("*.log")))
                raise SystemStartError(f"nothing that works came up on port {target.port}:\n{logs}")
            time.sleep(0.05)


def _upstream(upstream: UpstreamKind, loop: Loop, port: int) -> tuple[tuple[str, ...], dict[str, str]]:
    if upstream is UpstreamKind.EMBEDDER:
        env = {
            "EMBEDDER_HOST": HOST,
            "EMBEDDER_PORT": str(port),
            "EMBEDDER_THREADS": EMBEDDER_THREADS,
            "EMBEDDER_JOIN_REQUESTS": "false",  # it stands for servers that compute one call after the other
        }
        return _python("autobatch_embedder"), env
    module = {
        UpstreamKind.INSTANT: "autobatch_bench.systems.instant_upstream",
        UpstreamKind.TEI_QUEUE: "autobatch_bench.systems.tei_queue_upstream",
    }[upstream]
    return (*_python(module), str(port), loop), {}


def _of_others() -> dict[str, str]:
    """Environment of programs of others: a Python among them has packages of its own."""
    return {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", module)


def _is_healthy(target: Endpoint) -> bool:
    connection = http.client.HTTPConnection(target.host, target.port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _is_listening(target: Endpoint) -> bool:
    try:
        socket.create_connection((target.host, target.port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
