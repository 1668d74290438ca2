"""What all cores of this machine did, for any process. Known on Linux only.

Source: proc(5), `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, in ticks since the start.
"""

from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")
IDLE, KINDS = (3, 4), 8  # idle and waiting for a disk; what guests used is in `user` already


class CoreTicks(NamedTuple):
    """Ticks of all cores together since the machine's start.

    Attributes:
        idle: Without anything to do.
        total: All of them.
    """

    idle: int
    total: int

    def idle_share_since(self, before: "CoreTicks") -> float:
        """Return the share, 0 to 1, of the time since then in which cores were idle."""
        return (self.idle - before.idle) / max(1, self.total - before.total)


def read_core_ticks(file: Path = STAT) -> CoreTicks | None:
    """Return the ticks until now; None where the system does not count them."""
    try:
        words = file.read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    ticks = [int(word) for word in words[1 : 1 + KINDS]]
    return CoreTicks(sum(ticks[place] for place in IDLE), sum(ticks))
