"""The system under test: `autobatch up` of this checkout, run by the project's own `.venv`.

Nothing of it is imported here: the environments of the clients have none of its packages.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.ports import free_port

START_S = 120
STOP_S = 30
KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")  # no settings of the shell that runs the tests


@dataclass(frozen=True, slots=True)
class Served:
    """A running system.

    Attributes:
        url: What clients are given.
        embedder: The upstream behind it.
        redis: The path of its Redis's socket.
    """

    url: str
    embedder: str
    redis: str


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[Served]:
    """Start a system in a folder, wait until it is ready, and stop it at the end."""
    port = free_port()
    ports = ("--host", "127.0.0.1", "--port", str(port), "--embedder-port", "0", "--batcher-port", "0")
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_python(), "-m", "autobatch_console", "up", *ports, "--web-concurrency", "2", *flags],
            cwd=folder,
            env={name: os.environ[name] for name in KEPT if name in os.environ} | {"PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        text = _wait_ready(process, log)
        yield Served(f"http://127.0.0.1:{port}", _address(text, "embedder"), _address(text, "redis"))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        finally:
            process.kill()
            process.wait()


def _wait_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline_mono_s = time.monotonic() + START_S
    while True:
        text = log.read_text(encoding="utf-8")
        if re.search("^ready", text, re.MULTILINE):
            return text
        assert process.poll() is None, f"it ended:\n{text}"
        assert time.monotonic() < deadline_mono_s, f"not ready after {START_S} s:\n{text}"
        time.sleep(0.05)


def _address(text: str, part: str) -> str:
    """Return where a part listens; the empty string if it was not started."""
    match = re.search(rf"^  {part}\s.*pid \d+ +(\S+)", text, re.MULTILINE)
    return match.group(1) if match else ""


def _python() -> str:
    own = ROOT / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable
