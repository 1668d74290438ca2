"""The kernel's figures of processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autobatch_bench.load.traffic import Endpoint
from autobatch_bench.load.workloads import WorkloadKind, make
from autobatch_bench.systems.process_stats import cpu_seconds, ended, memory_mb
from autobatch_bench.systems.rig import EndedError, Rig
from autobatch_bench.systems.system import Side
from tests.support.fake_upstream import FakeUpstream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture
def short_lived() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends at once, before its parent has waited for it."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        yield process


async def test_a_process_that_ended_is_seen_before_anybody_waited_for_it(short_lived: subprocess.Popen[bytes]) -> None:
    pids = {"gone": [os.getpid(), short_lived.pid], "here": [os.getpid()]}
    await wait_until(lambda: ended(pids) == ["gone"])
    short_lived.wait()
    assert ended(pids) == ["gone"]


async def test_a_system_that_lost_a_process_is_not_measured_any_further(
    short_lived: subprocess.Popen[bytes], upstream: FakeUpstream
) -> None:
    """The load's figures then say nothing about that system."""
    side = Side(Endpoint("127.0.0.1", upstream.port), {"batcher": [short_lived.pid]})
    rig = Rig({"direct": side}, is_fake=True, told=lambda _round: None)
    short_lived.wait()
    with pytest.raises(EndedError, match="batcher ended"):
        await asyncio.to_thread(rig.closed, "direct", make(WorkloadKind.SHORT), 1, 0.05)
    assert rig.rounds == []


def test_a_running_process_has_used_time_and_memory() -> None:
    mine = {"me": [os.getpid()]}
    assert cpu_seconds(mine)["me"] > 0
    now_mb = memory_mb(mine)["me"]
    assert memory_mb(mine, "VmHWM")["me"] >= now_mb > 1
    assert ended(mine) == []
