"""One part as a process: start it, wait for it, stop it, and leave nothing of it behind.

1. Each part leads a process group of its own: Ctrl-C reaches `autobatch up` alone, and the processes that a dead part
   left behind (nginx's workers outlive a killed master) can be found and ended.
2. On Linux the kernel ends a part when `autobatch up` dies for any reason. Elsewhere only an orderly stop does.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO

from autobatch_console.up.parts import Part

SWEEP_S = 1.0  # for orphans of a dead part to end after SIGTERM; then SIGKILL
PAUSE_S = 0.02  # between two checks whether they have ended
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Running:
    """A part that was started."""

    def __init__(self, part: Part, process: asyncio.subprocess.Process) -> None:
        self.part = part
        self.pid = process.pid
        self._process = process
        self._started_mono_s = time.monotonic()

    @property
    def ran_s(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._started_mono_s

    async def wait(self) -> int:
        """Wait for its end; return the exit status, or minus the signal's number."""
        return await self._process.wait()

    async def stop(self) -> bool:
        """Stop it, with its stop signal first. Return whether that was enough."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.part.stop_signal)
        try:
            await asyncio.wait_for(self._process.wait(), self.part.stop_grace_s)
        except TimeoutError:
            self.kill()
            await self._process.wait()
            return False
        await self.sweep()
        return True

    async def sweep(self) -> None:
        """End the processes that a dead part left behind."""
        try:
            async with asyncio.timeout(SWEEP_S):
                self._signal_group(signal.SIGTERM)
                while self._signal_group(0):  # noqa: ASYNC110  # there is no event for an empty group
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """Kill it and all that it started, at once."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> bool:
        """Return whether the group still has a process."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS returns EPERM if only zombies are left
            return False
        return True


async def start(part: Part, environ: Mapping[str, str], output: IO[bytes] | None) -> Running:
    """Start a part. Its output goes to the file, or to the terminal if there is none.

    Must be called from the main thread: the kernel ties the parent's death to the thread that forked.

    Raises:
        OSError: The program cannot be run.
    """
    process = await asyncio.create_subprocess_exec(
        *part.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=merged(environ, part.env),
        start_new_session=True,
        preexec_fn=_die_with_parent(part.orphan_signal),
    )
    return Running(part, process)


def merged(environ: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with ours on top.

    Names of settings are read in any case, so `port` must not remain beside `PORT`.
    """
    return {name: value for name, value in environ.items() if name.upper() not in ours} | dict(ours)


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: after the fork, nothing should be loaded
    parent = os.getpid()

    def tell_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return tell_kernel
