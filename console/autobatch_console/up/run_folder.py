"""The folder of one `autobatch up`: sockets, logs, nginx's files.

It is private, because any process that can open Redis's socket controls the queue.

1. Without `--run-dir` it is a temporary folder that is removed at the end, unless the start failed: then its logs are
   kept.
2. Two runs of `autobatch up` never share one.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autobatch_console.up.start_plan import SOCKET_PATH_BYTES_MAX, worker_sockets

LOG_BYTES_MAX = 64 << 20  # then it becomes `.1` and starts empty: each log takes at most twice this


class RunFolderError(Exception):
    """The folder cannot be used; the text says why."""


class RunFolder:
    """A folder that belongs to this process as long as `opened` lasts."""

    def __init__(self, path: Path, *, is_temporary: bool) -> None:
        self.path = path
        self.is_temporary = is_temporary
        self.is_kept = not is_temporary

    def log(self, name: str) -> Path:
        """The file with the output of one part."""
        return self.path / f"{name}.log"

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the end of a part's output."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return ""

    def bound_logs(self) -> None:
        """Truncate the logs that have grown too large. Their writers append, so they continue at the new end."""
        for log in self.path.glob("*.log"):
            if log.stat().st_size > LOG_BYTES_MAX:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)


@contextlib.contextmanager
def opened(chosen: Path | None, workers: int) -> Iterator[RunFolder]:
    """Make the folder, lock it, and remove what should not remain.

    Raises:
        RunFolderError: Its path is too long for unix sockets, or another `autobatch up` has it.
    """
    folder = RunFolder(_make(chosen, workers), is_temporary=chosen is None)
    lock = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise RunFolderError(f"{folder.path} is in use by another `autobatch up`") from error
    try:
        yield folder
    finally:
        for socket in folder.path.glob("*.sock"):
            socket.unlink(missing_ok=True)
        os.close(lock)
        if not folder.is_kept:
            shutil.rmtree(folder.path, ignore_errors=True)


def _make(chosen: Path | None, workers: int) -> Path:
    if chosen is None:
        path = Path(tempfile.mkdtemp(prefix="autobatch-"))
        if _fits(path, workers):
            return path
        path.rmdir()
        return Path(tempfile.mkdtemp(prefix="autobatch-", dir="/tmp"))  # mkdtemp makes it private
    path = chosen.absolute()
    if not _fits(path, workers):
        raise RunFolderError(f"{path} is too long for unix sockets; choose a shorter --run-dir")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _fits(path: Path, workers: int) -> bool:
    return len(os.fsencode(worker_sockets(path, workers)[-1])) < SOCKET_PATH_BYTES_MAX
