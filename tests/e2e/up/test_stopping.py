"""However it ends, nothing is left of it; a part that ends is started again."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.up.console import MARKS, PARTS, STOP_S, Console, alive, family_of, wait_until

pytestmark = MARKS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_process_and_no_folder(start: Callable[..., Console], number: signal.Signals) -> None:
    console = start()
    console.wait_for("^ready")
    folder = Path(console.address("redis")).parent
    family = family_of(console.process.pid)
    assert len(family) >= len(PARTS) + 3  # gunicorn's and nginx's own workers

    console.process.send_signal(number)

    assert console.wait() == 0
    assert alive(family) == set()
    assert not folder.exists()


def test_a_second_ctrl_c_waits_for_no_part(start: Callable[..., Console]) -> None:
    console = start()
    console.wait_for("^ready")
    family = family_of(console.process.pid)
    os.kill(console.pid("embedder"), signal.SIGSTOP)  # will never stop by itself

    console.process.send_signal(signal.SIGINT)
    console.wait_for("^stopping")
    console.process.send_signal(signal.SIGINT)

    assert console.wait(STOP_S) == 0
    assert alive(family) == set()


def test_killed_with_9_it_leaves_no_process(start: Callable[..., Console]) -> None:
    console = start()
    console.wait_for("^ready")
    folder = Path(console.address("redis")).parent
    family = family_of(console.process.pid)

    console.process.kill()
    console.wait()

    wait_until(lambda: not alive(family), why=lambda: str(alive(family)))
    shutil.rmtree(folder)


def test_killed_parts_are_reported_and_started_again(start: Callable[..., Console]) -> None:
    console = start()
    console.wait_for("^ready")

    for part in sorted(PARTS):
        os.kill(console.pid(part), signal.SIGKILL)
        console.wait_for(rf"{part} \(pid \d+\) was killed by SIGKILL; starting it again in 0.5 s$")
        console.wait_for(rf"{part} is back")
        wait_until(console.knows_hello_world, why=lambda part=part: f"after {part}:\n{console.output}")  # type: ignore[misc]
        # A batcher reports once a second what it is doing, so health may come after the vector.
        wait_until(console.is_healthy, why=lambda part=part: f"after {part}:\n{console.output}")  # type: ignore[misc]
