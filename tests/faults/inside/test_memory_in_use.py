"""What the campaign takes for memory in use, of a process that fills some and frees nearly all of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.memory import in_use, resident_mb
from tests.faults.world import INSIDE
from tests.support.paths import ROOT

HOLDER = """
import sys
held = []
for line in sys.stdin:
    if line == "fill\\n":
        held = [[number] for number in range(300_000)]
    elif line == "free\\n":
        held = held[::1000]
    print(flush=True)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    env = os.environ | {"PYTHONPATH": f"{INSIDE}{os.pathsep}{ROOT}", "TMPDIR": str(tmp_path)}
    argv = (sys.executable, "-c", HOLDER)
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        say(process, "begin")
        yield process
        process.kill()


def say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "\n"


async def test_what_is_held_is_in_use_and_what_was_freed_is_not_though_it_stays_resident(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    async def both_mb() -> tuple[float, float]:
        return (await in_use(tmp_path, [holder.pid]))[holder.pid], resident_mb(holder.pid)

    used_before, resident_before = await both_mb()
    say(holder, "fill")
    used_full, _ = await both_mb()
    assert used_full > used_before + 20
    say(holder, "free")
    used_after, resident_after = await both_mb()
    assert used_after < used_before + 1
    assert resident_after > resident_before + 15
