"""What the kernel says of processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.process_stats import cpu_seconds, ended, memory_mb
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture
def short_lived() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends at once, and that nobody has waited for."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        yield process


async def test_a_process_that_ended_is_seen_before_anybody_waited_for_it(short_lived: subprocess.Popen[bytes]) -> None:
    pids = {"gone": [os.getpid(), short_lived.pid], "here": [os.getpid()]}
    await wait_until(lambda: ended(pids) == ["gone"])
    short_lived.wait()
    assert ended(pids) == ["gone"]


def test_a_running_process_has_used_time_and_memory() -> None:
    mine = {"me": [os.getpid()]}
    assert cpu_seconds(mine)["me"] > 0
    assert memory_mb(mine, "VmHWM")["me"] >= memory_mb(mine)["me"] > 1
    assert ended(mine) == []
