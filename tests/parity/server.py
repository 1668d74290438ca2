"""An upstream that a case may crash: whether it is healthy, and how it is restarted."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress

from tests.support.ports import free_port

START_S = 120.0  # for a real server to read its model
STARTS_MAX = 3  # the proxy may retry the input that crashed it, once, before it is found healthy
STOP_S = 10.0
LOOK_EVERY_S = 0.05
PORT = "{port}"


class UpstreamEndedError(Exception):
    """The upstream has ended, and cannot be restarted."""


class RestartableServer:
    """A server at a URL.

    Args:
        url: Without a trailing slash.
        command: A shell command that starts it. None: it must already be running.
    """

    def __init__(self, url: str, command: str | None = None) -> None:
        self.url = url
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def is_healthy(self) -> bool:
        """Whether `GET /health` answers 200."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=10) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def start(self) -> None:
        """Start it and wait until it is healthy. A process that this started before is ended first.

        Raises:
            UpstreamEndedError: There is no command, it failed, or the server is not healthy in time.
        """
        if self._command is None:
            raise UpstreamEndedError(f"{self.url} does not answer, and TEI_START= does not say how to start it")
        deadline = time.monotonic() + START_S
        statuses: list[int] = []
        self._run()
        while not self.is_healthy():
            status = self._process.poll() if self._process else 0
            if status:  # 0 is a command that leaves the server behind it, such as `docker restart`
                statuses.append(status)
                if len(statuses) == STARTS_MAX:
                    raise UpstreamEndedError(f"{self._command!r} ended with {statuses} before {self.url} was healthy")
                self._run()
            if time.monotonic() > deadline:
                raise UpstreamEndedError(f"{self.url} is not healthy {START_S:.0f} s after {self._command!r}")
            time.sleep(LOOK_EVERY_S)

    def close(self) -> None:
        """End the process that this started."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _run(self) -> None:
        self.close()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", str(self._command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def given(url: str | None, command: str | None) -> RestartableServer | None:
    """Return the server that the arguments name, or None.

    Args:
        url: Where it listens. None: on a free port of this machine, which stands for `{port}` in the command.
        command: Starts it.

    Raises:
        UpstreamEndedError: There is a command without a port, and no URL.
    """
    if url is None and command is None:
        return None
    if url is None and PORT not in str(command):
        raise UpstreamEndedError(f"TEI_START= needs TEI_URL= beside it, or {PORT} in it")
    port = free_port(neighbours=1)  # TEI's metrics use the next one
    return RestartableServer(
        (url or f"http://127.0.0.1:{port}").rstrip("/"), command.replace(PORT, str(port)) if command else None
    )
