"""What this process uses of the machine, and what it had to wait for."""

import resource
import time
from pathlib import Path

_STATM = Path("/proc/self/statm")  # Linux only
# Of the main thread, which runs the loop: ns on a core, ns that it waited for one, turns.
_SCHEDSTAT = Path("/proc/self/schedstat")
_TASKS = Path("/proc/self/task")
CPU_WAIT_TEXT = "The share of that time in which this process had work and no core, because others had them (Linux)."
CPU_OVER_S = 1.0  # shorter times say little: the kernel counts in ticks of 10 ms on some machines


class ProcessUse:
    """Looks at this process.

    Attributes:
        cpu_cores: How many cores it used between the last two looks that were CPU_OVER_S apart; 1: all of one.
        cpu_wait_cores: The share of that time in which it had work and no core, because others had them; 0 where the system
            does not say (not Linux).
    """

    def __init__(self) -> None:
        self.cpu_cores = self.cpu_wait_cores = 0.0
        self._looked_s, self._cpu_s, self._waited_s = time.monotonic(), time.process_time(), waited_s()

    def look(self) -> None:
        """Take new figures, if the last ones are old enough."""
        now_s = time.monotonic()
        passed_s = now_s - self._looked_s
        if passed_s >= CPU_OVER_S:
            cpu_s, waits_s = time.process_time(), waited_s()
            self.cpu_cores = (cpu_s - self._cpu_s) / passed_s
            self.cpu_wait_cores = (waits_s - self._waited_s) / passed_s
            self._looked_s, self._cpu_s, self._waited_s = now_s, cpu_s, waits_s


def waited_s(file: Path = _SCHEDSTAT) -> float:
    """Return the seconds in which the main thread could have run and had no core; 0 where the system does not say."""
    try:
        return int(file.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def threads_waited_s(tasks: Path = _TASKS) -> float:
    """Return the same of all threads that live, the seconds of each added up."""
    return sum(waited_s(thread / _SCHEDSTAT.name) for thread in tasks.glob("*"))


def resident_bytes() -> int | None:
    """Return the memory that it has now; None where the system does not say (not Linux), or no more file can be opened."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return None
