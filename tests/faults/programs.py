"""Processes of the world that are not ours: nginx, the upstream."""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

TERM_S = 10.0


@dataclass
class ForeignProgram:
    """A process that is not ours: nginx, or the upstream."""

    argv: Sequence[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start; its output is lost."""
        log = (self.folder / f"{Path(self.argv[0]).name}.log").open("ab")
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(self.argv, cwd=self.folder, env=env, stdout=log, stderr=log)
        log.close()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def terminate(self) -> None:
        """SIGTERM; return once it has ended."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(TERM_S)

    def kill(self) -> None:
        """`kill -9`, its children first: nginx's workers outlive their master."""
        if self.process is not None:
            for pid in (*(children(self.pid) if self.is_running else ()), self.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.wait()


def children(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
