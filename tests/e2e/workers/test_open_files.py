"""A worker at its limit of open files says so: its event loop closes new connections without a word."""

import re
import resource
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.processes import Process
from tests.support.waiting import wait_until

ROOM = 8
METRIC = re.compile(rb"^autobatch_open_files_exhausted_seconds_total (\S+)$", re.MULTILINE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can change the limit of a process that runs")
async def test_a_worker_at_its_limit_of_open_files_logs_it_and_counts_the_seconds(
    start: Callable[[int], Process], path: Path
) -> None:
    proxy = start(1)
    await wait_until(lambda: metrics(path))
    assert seconds(path) == 0
    (worker,) = proxy.children()
    limit = last_descriptor(worker) + 1 + ROOM
    _, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, hard))

    with ExitStack() as clients:
        for _ in range(limit):
            clients.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        await wait_until(lambda: '"event": "open_files_exhausted"' in proxy.output)
    assert f'"limit": {limit}' in proxy.output
    assert '"task": "metrics"' not in proxy.output
    await wait_until(lambda: seconds(path) >= 1)


def last_descriptor(pid: int) -> int:
    """The largest of those that a process has open."""
    return max(int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir())


def seconds(path: Path) -> float:
    """How many seconds the workers say that they were without a descriptor; 0: none of them answers."""
    said = METRIC.search(metrics(path))
    return float(said[1]) if said else 0.0


def metrics(path: Path) -> bytes:
    """The page of a new connection; empty where none is served."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(path))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: client.recv(65_536), b""))
        except OSError:
            return b""
