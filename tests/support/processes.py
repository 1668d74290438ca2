"""Workers and batchers as real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from autobatch_shared.settings.definitions import PROCESSES
from autobatch_shared.settings.loading import names_of
from tests.support.paths import ROOT
from tests.support.ports import free_port

#: Settings that must not leak from the environment of the tests.
SETTINGS = {
    alias for cls in PROCESSES.values() for name, field in cls.model_fields.items() for alias in names_of(name, field)
}


class Process:
    """`autobatch <module>` with these settings; its output goes to a file in `folder`."""

    def __init__(self, folder: Path, module: str, **settings: object) -> None:
        clean = {name: value for name, value in os.environ.items() if name.lower() not in SETTINGS}
        self._log: IO[bytes] = (folder / f"{module}-{free_port()}.log").open("wb")
        self._process = subprocess.Popen(
            self.command(folder, module),
            env=clean
            | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
            | {name.upper(): str(value) for name, value in settings.items()},
            cwd=folder,
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = self._process.pid

    def command(self, _folder: Path, module: str) -> list[str]:
        """The command to run."""
        return [sys.executable, "-P", "-m", f"autobatch_{module}"]

    @property
    def output(self) -> str:
        """Everything it has written."""
        return Path(self._log.name).read_text()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def children(self) -> list[int]:
        """Pids of its children, oldest first (Linux)."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 60) -> int:
        """Wait for its end; return its exit status."""
        return self._process.wait(timeout_s)

    def close(self) -> None:
        """End it, whatever its state."""
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
