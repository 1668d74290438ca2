"""CPU time and memory of our processes, from the kernel. Empty if there is no /proc."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

Pids = Mapping[str, Iterable[int]]  # role -> the processes that have it


def cpu_seconds(pids: Pids) -> dict[str, float]:
    """CPU time that each role has used so far."""
    if not Path("/proc/self/stat").exists():
        return {}
    return {role: sum(map(_cpu_seconds, each)) for role, each in pids.items()}


def memory_mb(pids: Pids, field: str = "VmRSS") -> dict[str, float]:
    """Resident memory of each role's largest process, in MB (10^6 bytes); `VmHWM` is the peak."""
    if not Path("/proc/self/status").exists():
        return {}
    return {role: max(_memory_mb(pid, field) for pid in each) for role, each in pids.items()}


def ended(pids: Pids) -> list[str]:
    """Return the roles that have a process which has ended."""
    if not Path("/proc/self/stat").exists():
        return []
    return [role for role, each in pids.items() if any(map(_has_ended, each))]


def children(pid: int) -> list[int]:
    """Return the processes that this one started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def cpu_ticks(stat: str) -> int:
    """Return the CPU time that a process has used so far, by the text of its `/proc/PID/stat`."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _has_ended(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def _cpu_seconds(pid: int) -> float:
    return cpu_ticks(Path(f"/proc/{pid}/stat").read_text()) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))
