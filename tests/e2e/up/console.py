"""A running `autobatch up`: the real Redis, embedder, batcher, workers and nginx, and what it has printed."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autobatch_shared.settings.definitions import PROCESSES
from autobatch_shared.settings.loading import names_of
from tests.support.ports import free_port

MARKS = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc"),
]

HELLO_WORLD = [-0.03447726, 0.03102321, 0.00673492, 0.02610902, -0.03936195]
STOP_S = 20  # two seconds are usual; a part that hangs is killed after 25 or more
PARTS = {"redis", "embedder", "batcher", "proxy-1", "proxy-2", "nginx"}
SETTINGS = {
    alias for s in PROCESSES.values() for name, field in s.model_fields.items() for alias in names_of(name, field)
}


class Console:
    """A running `autobatch up`, read line by line."""

    def __init__(self, folder: Path, *argv: str, env: Mapping[str, str] | None = None, code: str = "") -> None:
        self.port = free_port()
        flags = {"--port": str(self.port), "--embedder-port": "0", "--batcher-port": "0", "--web-concurrency": "2"}
        self.process = subprocess.Popen(
            [
                *(sys.executable, *(("-c", code) if code else ("-m", "autobatch_console")), "up"),
                *(word for flag, value in flags.items() if flag not in argv for word in (flag, value)),
                *argv,
            ],
            cwd=folder,
            env={**own_env(), "TMPDIR": "/tmp", **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._lines += self.process.stdout

    @property
    def output(self) -> str:
        """What it printed so far."""
        return "".join(self._lines)

    def wait_for(self, pattern: str, limit_s: float = 60) -> re.Match[str]:
        """Wait until it has printed something."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.output, re.MULTILINE)
            assert match or self.process.poll() is None, f"it ended:\n{self.output}"
            return match

        match: re.Match[str] = wait_until(found, limit_s, lambda: f"no {pattern!r} in:\n{self.output}")
        return match

    def wait(self, limit_s: float = 60) -> int:
        """Wait for its end; return its exit status."""
        status = self.process.wait(limit_s)
        self._reader.join(5)
        return status

    def pid(self, part: str) -> int:
        """Return the pid of the latest process of a part."""
        return int(re.findall(rf"^(?:\s+|.* ){part}\s.*\bpid (\d+)", self.output, re.MULTILINE)[-1])

    def address(self, part: str) -> str:
        """Return the address of a part."""
        return self.wait_for(rf"^  {part}\s.*pid \d+ +(\S+)").group(1)

    def embed(self, inputs: str | list[str]) -> Any:
        """Ask the public port."""
        return post(f"http://127.0.0.1:{self.port}/embed", inputs)

    def knows_hello_world(self) -> bool:
        """Whether it answers, and correctly. While a part is down, only 502, 503 and 504 are allowed."""
        try:
            rows = self.embed("hello world")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (502, 503, 504):
                return False
            raise
        return bool(rows[0][:5] == pytest.approx(HELLO_WORLD, abs=1e-4))

    def is_healthy(self) -> bool:
        """Whether the whole path works."""
        return status_of(f"http://127.0.0.1:{self.port}/health") == 200

    def close(self) -> None:
        """End it, whatever its state after the test."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                left = [(Path("/proc") / str(pid) / "cmdline").read_bytes() for pid, _ in family_of(self.process.pid)]
                pytest.fail(f"did not stop in {STOP_S} s, still there: {left}")
            finally:
                self.process.kill()
                self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


def own_env() -> dict[str, str]:
    """The environment without any setting."""
    return {name: value for name, value in os.environ.items() if name.lower() not in SETTINGS}


def wait_until(told: Callable[[], Any], limit_s: float = 60, why: Callable[[], str] = lambda: "") -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + limit_s
    while not (answer := told()):
        assert time.monotonic() < deadline, f"waited {limit_s} s in vain: {why()}"
        time.sleep(0.05)
    return answer


def post(url: str, inputs: str | list[str]) -> Any:
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def batches_sent(batcher: str) -> float:
    with urllib.request.urlopen(f"{batcher}/metrics", timeout=60) as response:
        text = response.read().decode()
    return sum(float(value) for value in re.findall(r"^autobatch_batches_total\S* (\S+)", text, re.MULTILINE))


def family_of(pid: int) -> set[tuple[int, str]]:
    """Return all descendants of a process: pid and start time, which together no other process ever has."""
    parents, started = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)], started[int(stat.parent.name)] = int(fields[1]), fields[19]
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return {(member, started[member]) for member in family - {pid}}


def alive(family: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those that are still alive."""
    left = set()
    for pid, start in family:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and fields[19] == start:
            left.add((pid, start))
    return left
