"""A real Redis of the tests' own, on a unix socket: it does not touch the machine's own."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from autobatch_console.up.programs import find_redis, search_path


class RedisServer:
    """One server process; `kill` is `kill -9`, and `start` after it is a restart with an empty memory.

    Args:
        folder: Of its socket and its files.
        variables: What its environment has beside this process's.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self._variables = variables or {}
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._program = find_redis(search_path()).argv
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start, and return once it answers."""
        self._process = subprocess.Popen(
            [*self._program, "--port", "0", "--unixsocket", str(self.socket), "--save", "", *options],
            stdout=subprocess.DEVNULL,
            cwd=self.socket.parent,
            env=os.environ | self._variables,
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, "redis did not start"
            assert time.monotonic() < deadline, "redis does not answer"
            time.sleep(0.005)

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False
