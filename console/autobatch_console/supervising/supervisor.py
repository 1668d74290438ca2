"""Start the parts in order, keep them running, stop them in reverse order.

1. While starting, the first part that dies, or the time limit, fails the whole start: `StartError` says which part.
2. Afterwards a part that dies is reported and started again after a growing pause, for as long as it takes.
3. After `stop` or `kill` no process that was started is left, whatever state it was in.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from autobatch_console.supervising.probing import until_ready
from autobatch_console.supervising.running import Running
from autobatch_console.up.parts import Part, Stage

Start = Callable[[Part], Awaitable[Running]]
Say = Callable[[str], None]

FIRST_S = 0.5
LONGEST_S = 30.0
RAN_WELL_S = 60.0  # twice the longest pause: a part that runs for longer did not die of its start


class StartError(Exception):
    """A part died, or `is_late`: it was not ready in time."""

    def __init__(self, part: Part, reason: str, *, is_late: bool = False) -> None:
        super().__init__(f"{part.name} {reason}")
        self.part = part
        self.is_late = is_late


class Backoff:
    """How long to pause before a part that died is started again: 0.5, 1, 2, ... 30 s; anew after a part ran well.

    Pure: the caller measures and waits.
    """

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def pause_s(self, ran_s: float) -> float:
        """Return the pause after a run of `ran_s` seconds."""
        if ran_s >= RAN_WELL_S:
            self._next_s = FIRST_S
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, LONGEST_S)
        return pause_s


class Supervisor:
    """Owns every process of a plan."""

    def __init__(self, start: Start, say: Say) -> None:
        self._start = start
        self._say = say
        self._running: dict[str, Running] = {}
        self._stages: list[Stage] = []  # started so far
        self._ready: dict[str, asyncio.Event] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._is_up = False

    def launch(self, stage: Stage) -> None:
        """Start the parts of a stage together, unless that was done; `start` waits for them."""
        if stage in self._stages:
            return
        self._stages.append(stage)
        self._ready |= {part.name: asyncio.Event() for part in stage}
        self._keepers += [asyncio.create_task(self._keep(part, self._ready[part.name])) for part in stage]

    async def start(self, stage: Stage, limit_s: float) -> list[Running]:
        """Launch a stage, and wait until all of its parts are ready.

        Raises:
            StartError: A part of this stage or of an earlier one died, or was not ready in time.
        """
        self.launch(stage)
        everyone = asyncio.create_task(_all_set([self._ready[part.name] for part in stage]))
        try:
            await asyncio.wait({everyone, *self._keepers}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            everyone.cancel()
        for keeper in self._keepers:  # a keeper ends only while starting, and then with the reason
            if keeper.done():
                keeper.result()
        for part in stage:
            if not self._ready[part.name].is_set():
                raise StartError(part, f"was not ready within {limit_s:.0f} s", is_late=True)
        return [self._running[part.name] for part in stage]

    def all_are_up(self) -> None:
        """From now on, a part that dies is started again."""
        self._is_up = True

    async def stop(self) -> None:
        """Stop every part, the last started first."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        while self._stages:
            stage = self._stages.pop()
            await asyncio.gather(*(self._stop(part) for part in stage))

    def kill(self) -> None:
        """End every process at once; a `stop` that is under way then has nothing to wait for."""
        for running in self._running.values():
            running.kill()

    async def _stop(self, part: Part) -> None:
        running = self._running.get(part.name)
        if running is not None and not await running.stop():
            self._say(f"{part.name} did not stop within {part.stop_grace_s:.0f} s and was killed")

    async def _keep(self, part: Part, ready: asyncio.Event) -> None:
        backoff = Backoff()
        while True:
            ran_s, end = await self._run_once(part, ready)
            if not self._is_up:
                raise StartError(part, f"{end} while starting")
            pause_s = backoff.pause_s(ran_s)
            self._say(f"{part.name} {end}; starting it again in {pause_s:g} s")
            await asyncio.sleep(pause_s)

    async def _run_once(self, part: Part, ready: asyncio.Event) -> tuple[float, str]:
        """Run a part to its end. Return for how many seconds it ran, and how it ended."""
        try:
            running = self._running[part.name] = await self._start(part)
        except OSError as error:
            return 0.0, f"cannot be started: {error}"
        probe = asyncio.create_task(self._announce(running, ready))
        try:
            end = how_it_ended(await running.wait())
        finally:
            probe.cancel()
        ran_s = running.ran_s
        await running.sweep()
        return ran_s, f"(pid {running.pid}) {end}"

    async def _announce(self, running: Running, ready: asyncio.Event) -> None:
        """Wait until a part is ready. Announce it, unless `start` is waiting for it."""
        await until_ready(running.part.ready)
        if ready.is_set():
            self._say(f"{running.part.name} is back (pid {running.pid})")
        ready.set()


def how_it_ended(status: int) -> str:
    """Return a status of `asyncio.subprocess.Process` in words."""
    if status >= 0:
        return f"exited with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"


async def _all_set(events: list[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
