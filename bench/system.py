"""The system under test as processes: an instant upstream, Redis, a batcher, gunicorn workers, all on this machine."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from console import ports
from console.programs import find_redis, search_path

START_S = 30.0
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class System:
    """Where to send load, and whose CPU time to read.

    Attributes:
        direct_port: Of the upstream.
        proxy_port: Of the workers, without nginx.
        pids: Role -> the processes that have it.
    """

    direct_port: int
    proxy_port: int
    pids: dict[str, list[int]]

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time that each role has used so far, by the kernel's accounting; empty where there is no /proc."""
        if not Path("/proc/self/stat").exists():
            return {}
        return {role: sum(map(_cpu_seconds, pids)) for role, pids in self.pids.items()}


@contextmanager
def started(workers: int, upstream_loop: str) -> Iterator[System]:
    """Start everything, and stop it at the end.

    Args:
        workers: Proxy workers.
        upstream_loop: Event loop of the upstream, `uvloop` or `asyncio`; the first costs less.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="ab-")))
        direct_port = ports.choose(HOST, 0, ())
        proxy_port = ports.choose(HOST, 0, (direct_port,))
        settings = {
            "REDIS_URL": f"unix://{home}/redis.sock",
            "INFERENCE_URL": f"http://{HOST}:{direct_port}",
            "HOST": HOST,
            "PORT": str(proxy_port),
            "WEB_CONCURRENCY": str(workers),
            "BATCHER_HOST": HOST,
            "BATCHER_PORT": "0",
        }

        def start(*argv: str) -> int:
            with (home / f"{len(list(home.iterdir()))}.log").open("wb") as log:
                process = subprocess.Popen(argv, env=os.environ | settings, cwd=home, stdout=log, stderr=log)
            stack.callback(_end, process)
            return process.pid

        python = sys.executable
        upstream = start(python, "-m", "bench.instant_upstream", str(direct_port), upstream_loop)
        redis = start(
            *find_redis(search_path()).argv, "--port", "0", "--unixsocket", f"{home}/redis.sock", "--save", ""
        )
        batcher = start(python, "-m", "batcher")
        proxy = start(python, "-m", "proxy")
        _wait_until_healthy(proxy_port, home)
        pids = {
            "load tool": [os.getpid()],
            "upstream": [upstream],
            "redis": [redis],
            "batcher": [batcher],
            "worker": _children(proxy),
        }
        yield System(direct_port, proxy_port, pids)


def _wait_until_healthy(port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=1)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            logs = "".join(log.read_text()[-2000:] for log in folder.glob("*.log"))
            raise RuntimeError(f"the system did not become healthy within {START_S} s:\n{logs}")
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
