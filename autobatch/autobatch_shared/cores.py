"""The cores that this process may keep busy: what its affinity and the quota of its control group leave of the machine's."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def cores(root: Path = ROOT) -> int:
    """Return how many, at least 1.

    A quota is rounded down: where two threads share one and a half cores, the kernel stops both of them for a
    quarter of the time, and a pass waits for its slowest thread.

    Args:
        root: Where `/proc` and `/sys` are.
    """
    found = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min([found, *map(int, _quotas(root))]))


def cpu_name(root: Path = ROOT) -> str:
    """Return what the CPU calls itself; empty if the system does not say."""
    fields = _cpu_fields(root)
    # Many virtual machines leave the model's name vague, so its numbers count, too.
    return " ".join(fields.get(key, "").strip() for key in ("model name", "cpu family", "model", "stepping")).strip()


def cpu_features(root: Path = ROOT) -> str:
    """Return the instructions that the CPU has beyond the usual ones, in order; empty if the system does not say."""
    fields = _cpu_fields(root)
    return " ".join(sorted((fields.get("flags") or fields.get("Features", "")).split()))


def _cpu_fields(root: Path) -> dict[str, str]:
    lines = _read(root / "proc/cpuinfo").splitlines()
    return dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)


def _quotas(root: Path) -> Iterator[float]:
    """Cores that the control groups of this process grant; those around it bound it as well."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = PurePosixPath(path.lstrip("/"))
        for each in (group, *group.parents):
            if controllers:
                folder = root / "sys/fs/cgroup" / "cpu" / each
                yield from _cores_of(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
            else:
                yield from _cores_of(*_read(root / "sys/fs/cgroup" / each / "cpu.max").split())


def _cores_of(quota_us: str = "", period_us: str = "") -> Iterator[float]:
    # `max` in version 2 and -1 in version 1 mean no bound.
    if quota_us.strip().isdigit() and period_us.strip().isdigit() and int(period_us):
        yield int(quota_us) / int(period_us)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
