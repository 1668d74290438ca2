"""Whether processes use as much memory as before."""

import os
from pathlib import Path

from tests.faults.inside.memory_in_use import ASK, report_of
from tests.faults.programs import children
from tests.faults.world import World
from tests.support.waiting import wait_until

FACTOR, SPARE_MB = 1.1, 4.0
RESIDENT_FACTOR, RESIDENT_SPARE_MB = 1.2, 10.0  # what was freed may be part of it


async def used_mb(world: World) -> dict[str, float]:
    """Return the memory in use by each process of ours, and the resident memory of the others."""
    ours = ours_of(world)
    used = await in_use(world.folder, list(ours.values()))
    others = {"redis": world.redis.pid} if world.group is None else {}
    others |= {f"nginx {i + 1}": pid for i, pid in enumerate(children(world.nginx.pid))}
    return {name: used[pid] for name, pid in ours.items()} | {name: resident_mb(pid) for name, pid in others.items()}


def ours_of(world: World) -> dict[str, int]:
    """Return the pids of the processes of ours."""
    workers = {f"worker {i + 1}": children(p.pid)[0] for i, p in enumerate(world.workers)}
    return workers | {f"batcher {i + 1}": p.pid for i, p in enumerate(world.batchers)}


async def in_use(folder: Path, pids: list[int]) -> dict[int, float]:
    """Ask processes that have `tests/faults/inside` on their path; return their answers in MB."""
    reports = {pid: report_of(folder, pid) for pid in pids}
    for pid, report in reports.items():
        report.unlink(missing_ok=True)
        os.kill(pid, ASK)
    await wait_until(lambda: all(report.exists() for report in reports.values()))
    return {pid: int(report.read_text()) / 1e6 for pid, report in reports.items()}


def resident_mb(pid: int) -> float:
    """Return what a process has of the machine's memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


async def grown(world: World, before_mb: dict[str, float]) -> list[str]:
    """Return the processes that use more than before, with a tolerance."""
    ours = ours_of(world)
    return [
        f"{name} {before_mb[name]:.0f} -> {mb:.0f} MB"
        for name, mb in (await used_mb(world)).items()
        if name in before_mb and mb > _most_mb(before_mb[name], is_ours=name in ours)
    ]


def _most_mb(before_mb: float, *, is_ours: bool) -> float:
    factor, spare_mb = (FACTOR, SPARE_MB) if is_ours else (RESIDENT_FACTOR, RESIDENT_SPARE_MB)
    return factor * before_mb + spare_mb
