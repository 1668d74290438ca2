"""What this process uses of the machine."""

import resource
import time
from pathlib import Path

_STATM = Path("/proc/self/statm")  # Linux only
CPU_OVER_S = 1.0  # shorter times say little: the kernel counts in ticks of 10 ms on some machines


class ProcessUse:
    """Looks at this process.

    Attributes:
        cpu_cores: How many cores it used between the last two looks that were CPU_OVER_S apart; 1: all of one.
    """

    def __init__(self) -> None:
        self.cpu_cores = 0.0
        self._looked_s, self._cpu_s = time.monotonic(), time.process_time()

    def look(self) -> None:
        """Take a new figure, if the last one is old enough."""
        now_s = time.monotonic()
        passed_s = now_s - self._looked_s
        if passed_s >= CPU_OVER_S:
            cpu_s = time.process_time()
            self.cpu_cores = (cpu_s - self._cpu_s) / passed_s
            self._looked_s, self._cpu_s = now_s, cpu_s


def resident_bytes() -> int | None:
    """Return the memory that it has now; None where the system does not say (not Linux)."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return None
