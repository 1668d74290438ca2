"""Who else uses this machine: what each process of others took of a core. Empty if there is no /proc."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from autobatch_bench.systems.process_stats import cpu_ticks

BUSY_CORES = 0.1  # less is no neighbour
NAMED_MAX = 3


class ProcessTicks(NamedTuple):
    """A process.

    Attributes:
        name: Its command.
        ticks: CPU time that it has used so far.
    """

    name: str
    ticks: int


def all_processes(proc: Path = Path("/proc"), but: Iterable[int] = ()) -> dict[int, ProcessTicks]:
    """Return every process of this machine but this one and those, by pid."""
    found = {}
    for folder in proc.glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended
            continue
        name = stat.rpartition(")")[0].partition("(")[2]
        found[int(folder.name)] = ProcessTicks(name, cpu_ticks(stat))
    for pid in (os.getpid(), *but):
        found.pop(pid, None)
    return found


def busiest(before: Mapping[int, ProcessTicks], after: Mapping[int, ProcessTicks], seconds: float) -> list[str]:
    """Return the processes that used most between two looks, as `name (pid 7): 1.3 cores`; few, and none that used little."""
    cores = _cores(before, after, seconds)
    most = sorted(cores, key=lambda pid: -cores[pid])[:NAMED_MAX]
    return [f"{after[pid].name} (pid {pid}): {cores[pid]:.1f} cores" for pid in most if cores[pid] >= BUSY_CORES]


def cores_by_name(
    before: Mapping[int, ProcessTicks], after: Mapping[int, ProcessTicks], seconds: float
) -> dict[str, float]:
    """Return how many cores the processes of each name used together between two looks; those that used little are left out."""
    used: dict[str, float] = {}
    for pid, cores in _cores(before, after, seconds).items():
        used[after[pid].name] = used.get(after[pid].name, 0.0) + cores
    most = sorted(used, key=lambda name: -used[name])[:NAMED_MAX]
    return {name: round(used[name], 2) for name in most if used[name] >= BUSY_CORES}


def _cores(before: Mapping[int, ProcessTicks], after: Mapping[int, ProcessTicks], seconds: float) -> dict[int, float]:
    """Cores by pid. What a process used before it was seen first is not known, so one that began meanwhile is left out."""
    hertz = os.sysconf("SC_CLK_TCK")
    return {pid: (now.ticks - before[pid].ticks) / hertz / seconds for pid, now in after.items() if pid in before}
