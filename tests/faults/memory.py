"""Whether processes use as much memory as before."""

import os
from pathlib import Path

from tests.faults.programs import children
from tests.faults.world import World

FACTOR, SPARE_MB = 1.2, 10.0


def rss_mb(world: World) -> dict[str, float]:
    """Return the resident memory of each process."""
    pids = {f"worker {i + 1}": children(p.pid)[0] for i, p in enumerate(world.workers)}
    pids |= {f"batcher {i + 1}": p.pid for i, p in enumerate(world.batchers)}
    pids |= {"redis": world.redis.pid} if world.group is None else {}
    pids |= {f"nginx {i + 1}": pid for i, pid in enumerate(children(world.nginx.pid))}
    pages = {name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for name, pid in pids.items()}
    return {name: count * os.sysconf("SC_PAGESIZE") / 1e6 for name, count in pages.items()}


def grown(world: World, before_mb: dict[str, float]) -> list[str]:
    """Return the processes that use more than before, with a tolerance."""
    return [
        f"{name} {before_mb[name]:.0f} -> {mb:.0f} MB"
        for name, mb in rss_mb(world).items()
        if name in before_mb and mb > FACTOR * before_mb[name] + SPARE_MB
    ]
