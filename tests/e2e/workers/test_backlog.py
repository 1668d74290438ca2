"""A worker that stalls for a moment refuses no connection: new ones wait in its socket's backlog."""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.support.processes import Process
from tests.support.waiting import wait_until

WAITING = 600


async def test_a_worker_that_is_paused_refuses_no_connection(start: Callable[[int], Process], path: Path) -> None:
    proxy = start(1)
    await wait_until(lambda: answers(path))
    (worker,) = proxy.children()
    with ExitStack() as stack:
        os.kill(worker, signal.SIGSTOP)
        stack.callback(os.kill, worker, signal.SIGCONT)
        refused = 0
        for _ in range(WAITING):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            refused += client.connect_ex(str(path)) != 0
        assert refused == 0


def answers(path: Path) -> bool:
    """Whether the worker serves, rather than gunicorn only listening."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.2)
        try:
            client.connect(str(path))
            client.sendall(b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n")
            return client.recv(16).startswith(b"HTTP/1.1")
        except OSError:
            return False
