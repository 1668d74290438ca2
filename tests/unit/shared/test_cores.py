"""How many cores a process may keep busy, from what the kernel says in files."""

import os
import sys
from pathlib import Path

import pytest

from autobatch_shared import cores as machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="affinity and control groups are Linux's")


def root_with(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8, id="no quota"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3, id="of a container"
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2, id="rounded down"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1, id="less than one"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8, id="more than all"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/pod/container\n",
                "sys/fs/cgroup/pod/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/pod/container/cpu.max": "max 100000\n",
            },
            2,
            id="of the group around it",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpuset:/\n4:cpu,cpuacct:/box\n0::/\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
            id="version 1",
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "\n"}, 8, id="unreadable"),
    ],
)
@pytest.mark.usefixtures("eight_cores")
def test_cores_are_those_of_the_affinity_within_the_quota(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert machine.cores(root_with(tmp_path, files)) == expected


def test_the_name_of_a_cpu_has_its_numbers(tmp_path: Path) -> None:
    text = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 167\nmodel name\t: Some CPU\nstepping\t: 1\n\nprocessor\t: 1\n"
    assert machine.cpu_name(root_with(tmp_path, {"proc/cpuinfo": text})) == "Some CPU 6 167 1"
    assert machine.cpu_name(tmp_path / "nowhere") == ""


@pytest.mark.parametrize("key", ["flags\t\t", "Features\t"])
def test_the_features_of_a_cpu_are_in_order(tmp_path: Path, key: str) -> None:
    text = f"processor\t: 0\n{key}: fma avx2  sse\n\nprocessor\t: 1\n{key}: fma avx2  sse\n"
    assert machine.cpu_features(root_with(tmp_path, {"proc/cpuinfo": text})) == "avx2 fma sse"
    assert machine.cpu_features(tmp_path / "nowhere") == ""
