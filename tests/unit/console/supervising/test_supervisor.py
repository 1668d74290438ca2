"""Starting, watching and stopping, with stand-ins for the real programs."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from autobatch_console.supervising import running
from autobatch_console.supervising.running import Running
from autobatch_console.supervising.supervisor import StartError, Supervisor, how_it_ended
from autobatch_console.up.parts import Part, Ready
from tests.support.waiting import wait_until

START_S = 60.0  # for a program to start on a busy machine

# Says PONG on a socket, and on SIGTERM writes its name into `stopped` and ends, unless its wish is to stay.
# The signal is waited for, not handled: Python runs a handler between two of its own steps, so a signal just before a
# blocking `accept` would be handled only at the next client, which may never come.
STAND_IN = """
import contextlib, os, signal, socket, subprocess, sys, threading
path, wish = sys.argv[1], sys.argv[2]

def serve(listener):
    while True:
        client, _ = listener.accept()
        with contextlib.suppress(OSError), client:  # the client may have disconnected
            client.recv(99)
            client.sendall(b"+OK\\r\\n" if wish == "sulk" else b"+PONG\\r\\n")

if wish == "die":
    sys.exit(3)
if wish == "spawn":
    with open(path + ".child", "w") as told:
        told.write(str(subprocess.Popen(["sleep", "1000"]).pid))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # for the threads, too
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
threading.Thread(target=serve, args=(listener,), daemon=True).start()
signal.sigwait([signal.SIGTERM])
if wish == "stay":
    signal.pause()
with open(os.path.join(os.path.dirname(path), "stopped"), "a") as log:
    log.write(os.path.basename(path) + "\\n")
os._exit(0)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="ab-") as path:
        yield Path(path)


class SupervisedParts:
    """A supervisor, and its messages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.supervisor = Supervisor(self._start, self.said.append)
        self.started: list[Running] = []

    async def _start(self, part: Part) -> Running:
        self.started.append(await running.start(part, os.environ, None))
        return self.started[-1]

    def part(self, name: str, wish: str = "", *, stop_grace_s: float = 30.0) -> Part:
        socket = self.folder / name
        argv = (sys.executable, "-S", "-c", STAND_IN, str(socket), wish)
        return Part(name, argv, Ready("redis", socket=socket), str(socket), stop_grace_s=stop_grace_s)

    def pids(self, name: str) -> list[int]:
        return [each.pid for each in self.started if each.part.name == name]

    def stopped(self) -> list[str]:
        return (self.folder / "stopped").read_text().split()


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[SupervisedParts]:
    """A supervisor that leaves nothing behind, whatever happens."""
    house = SupervisedParts(folder)
    yield house
    house.supervisor.kill()
    await house.supervisor.stop()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Process 1 reaps orphans, which may take some time.
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text() if sys.platform == "linux" else True


async def test_parts_stop_in_the_reverse_order_of_their_start(house: SupervisedParts) -> None:
    for name in ("a", "b", "c"):
        (started,) = await house.supervisor.start((house.part(name),), START_S)
        assert started.part.name == name

    await house.supervisor.stop()

    assert house.stopped() == ["c", "b", "a"]
    assert house.said == []


async def test_parts_of_one_stage_start_together(house: SupervisedParts) -> None:
    started = await house.supervisor.start((house.part("a"), house.part("b")), START_S)

    assert [each.part.name for each in started] == ["a", "b"]


async def test_a_launched_stage_is_started_once_and_stops_as_one_of_its_own(house: SupervisedParts) -> None:
    first, second = (house.part("a"),), (house.part("b"),)
    house.supervisor.launch(second)
    await wait_until(lambda: house.pids("b"))
    await house.supervisor.start(first, START_S)
    (started,) = await house.supervisor.start(second, START_S)

    assert [started.pid] == house.pids("b")
    await house.supervisor.stop()
    assert house.stopped() == ["a", "b"]


async def test_a_part_that_dies_while_starting_fails_the_start(house: SupervisedParts) -> None:
    with pytest.raises(StartError, match=r"^a \(pid \d+\) exited with status 3 while starting$") as caught:
        await house.supervisor.start((house.part("a", "die"), house.part("b")), START_S)

    assert caught.value.part.name == "a"


async def test_a_part_that_is_never_ready_fails_the_start(house: SupervisedParts) -> None:
    with pytest.raises(StartError, match="a was not ready within 0 s") as caught:
        await house.supervisor.start((house.part("a", "sulk"),), 0.3)

    assert caught.value.is_late


async def test_a_program_that_does_not_exist_fails_the_start(house: SupervisedParts) -> None:
    nothing = Part("a", ("/nowhere/a",), Ready("redis"), "")
    with pytest.raises(StartError, match=r"^a cannot be started: "):
        await house.supervisor.start((nothing,), START_S)


async def test_the_death_of_an_earlier_part_fails_the_start_of_a_later_one(house: SupervisedParts) -> None:
    (earlier,) = await house.supervisor.start((house.part("a"),), START_S)
    starting = asyncio.create_task(house.supervisor.start((house.part("b", "sulk"),), START_S))
    await wait_until(lambda: house.pids("b"))

    os.kill(earlier.pid, signal.SIGKILL)

    with pytest.raises(StartError, match=r"^a \(pid \d+\) was killed by SIGKILL while starting$"):
        await starting


async def test_a_part_that_dies_later_is_reported_and_started_again(house: SupervisedParts) -> None:
    (first,) = await house.supervisor.start((house.part("a"),), START_S)
    house.supervisor.all_are_up()

    os.kill(first.pid, signal.SIGKILL)
    await wait_until(lambda: len(house.said) == 2)

    _, second = house.pids("a")
    assert house.said == [
        f"a (pid {first.pid}) was killed by SIGKILL; starting it again in 0.5 s",
        f"a is back (pid {second})",
    ]
    await house.supervisor.stop()
    assert house.stopped() == ["a"]


async def test_a_part_that_cannot_be_started_again_is_tried_again(house: SupervisedParts) -> None:
    program = house.folder / "program"
    program.symlink_to("/bin/sleep")
    part = house.part("a")
    await house.supervisor.start((part,), START_S)
    house.supervisor.all_are_up()
    missing = Part("b", (str(program), "1000"), part.ready, "")
    (started,) = await house.supervisor.start((missing,), START_S)

    program.unlink()
    os.kill(started.pid, signal.SIGKILL)
    await wait_until(lambda: any("cannot be started" in line for line in house.said))
    program.symlink_to("/bin/sleep")

    await wait_until(lambda: any(line.startswith("b is back") for line in house.said))


async def test_what_a_dead_part_leaves_behind_is_ended_before_it_starts_again(house: SupervisedParts) -> None:
    """A killed nginx master leaves workers behind, which hold the port."""
    (first,) = await house.supervisor.start((house.part("a", "spawn"),), START_S)
    house.supervisor.all_are_up()
    child = int((house.folder / "a.child").read_text())

    os.kill(first.pid, signal.SIGKILL)
    await wait_until(lambda: len(house.pids("a")) == 2)

    assert not is_alive(child)


async def test_a_part_that_does_not_stop_in_time_is_killed_and_that_is_told(house: SupervisedParts) -> None:
    (stubborn,) = await house.supervisor.start((house.part("a", "stay", stop_grace_s=0.2),), START_S)

    await house.supervisor.stop()

    assert not is_alive(stubborn.pid)
    assert house.said == ["a did not stop within 0 s and was killed"]


async def test_kill_ends_a_stop_that_takes_long(house: SupervisedParts) -> None:
    (stubborn,) = await house.supervisor.start((house.part("a", "stay", stop_grace_s=1000),), START_S)
    stopping = asyncio.create_task(house.supervisor.stop())
    await asyncio.sleep(0)

    house.supervisor.kill()
    await asyncio.wait_for(stopping, 60)

    assert not is_alive(stubborn.pid)


async def test_a_stop_while_a_part_waits_to_be_started_again_starts_nothing(house: SupervisedParts) -> None:
    (first,) = await house.supervisor.start((house.part("a"),), START_S)
    house.supervisor.all_are_up()
    os.kill(first.pid, signal.SIGKILL)
    await wait_until(lambda: house.said)

    await house.supervisor.stop()

    assert house.pids("a") == [first.pid]


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exited with status 0"), (-9, "was killed by SIGKILL"), (-63, "was killed by signal 63")],
)
def test_an_end_is_told_in_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words


def test_our_variables_replace_others_of_the_same_name_in_any_case() -> None:
    environ = {"port": "1", "PORT": "2", "PATH": "/bin"}
    assert running.merged(environ, {"PORT": "3"}) == {"PATH": "/bin", "PORT": "3"}
