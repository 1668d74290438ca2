"""Virtual time, and the event loops of the simulated processes.

1. Every process has a loop of its own, so its callbacks run in asyncio's order. Which process runs next is drawn.
2. Time stands still while any process can run; then it jumps to the next event: a timer, or bytes that arrive.
3. A process that is paused runs nothing while time goes on; one that died never runs again.
4. All chance is that of the timeline: the same seed gives the same run, step by step.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from struct import Struct
from typing import Any
from weakref import ref
from zlib import crc32

TRACE_LINES = 400  # the last ones of a run: a whole fault and what came of it
STARTS_AT_S = 1000.0
SHOWN_BYTES = 60
STEPS_MAX = 60_000  # a run has some hundreds; beyond it some process turns without waiting

_pack = Struct("d").pack

Noted = tuple[float, str, tuple[object, ...]]  # when, what, and the parts that go into it
Connect = Callable[["ProcessLoop", Callable[[], Any]], Coroutine[Any, Any, tuple[asyncio.Transport, Any]]]


class EndlessTurnsError(Exception):
    """A process turns without waiting."""


class Timeline:
    """What happens when.

    Attributes:
        now_s: Virtual seconds, the monotonic clock of all processes.
        chance: The only source of chance in a run.
        processes: All that were started, dead ones included.
        runnable: Those that have something to do now.
        running: The one whose loop asyncio takes for the running one.
        trace: The last things that happened, for people.
        digest: A checksum of all that happened: equal digests are equal runs.

    Args:
        seed: Draws all chance.
        steps_max: Steps beyond which some process turns without waiting.
    """

    def __init__(self, seed: int, steps_max: int = STEPS_MAX) -> None:
        self.now_s = STARTS_AT_S
        self.chance = random.Random(seed)
        self.processes: list[ProcessLoop] = []
        self.runnable: list[ProcessLoop] = []
        self.trace: deque[Noted] = deque(maxlen=TRACE_LINES)
        self.digest = 0
        self.running: ProcessLoop | None = None
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._made = 0
        self._steps = 0
        self._steps_max = steps_max

    def time_s(self) -> float:
        """Return the time now."""
        return self.now_s

    def at(self, when_s: float, call: Callable[..., None], *args: Any) -> None:
        """Let something happen at that time."""
        self._made += 1
        heapq.heappush(self._events, (when_s, self._made, call, args))

    def after(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Let something happen so much later."""
        self.at(self.now_s + seconds, call, *args)

    def note(self, what: str, *parts: object) -> None:
        """Add a line to the trace, with parts in it as `str.format` puts them."""
        self.digest = crc32(_pack(self.now_s), self.digest)
        self.trace.append((self.now_s, what, parts))

    def run_until(self, when_s: float, is_over: Callable[[], bool] | None = None) -> None:
        """Let everything happen up to that time, or until it is over."""
        events, runnable, random_, heappop = self._events, self.runnable, self.chance.random, heapq.heappop
        steps = self._steps
        while is_over is None or not is_over():
            if runnable:
                steps += 1
                process = runnable[int(random_() * len(runnable))] if len(runnable) > 1 else runnable[0]
                process.run_once()
                if not process.can_run and process in runnable:
                    runnable.remove(process)
                if steps > self._steps_max:
                    raise EndlessTurnsError
                continue
            if not events or events[0][0] > when_s:
                self.now_s = max(self.now_s, when_s)
                break
            happens_s, _, call, args = heappop(events)
            self.now_s = max(self.now_s, happens_s)
            call(*args)
        self._steps = steps

    def close(self) -> None:
        """End every coroutine where it stands, each under its own loop, so that nothing of this run runs later."""
        try:
            for process in self.processes:
                process.dispose()
        finally:
            asyncio._set_running_loop(None)
        self._events.clear()


_Base: Any = asyncio.AbstractEventLoop  # the product asks for a tenth of what a loop has


class _Handle:
    """A call that is to be made. asyncio's own ask for debugging twice, which takes as long as the rest.

    Attributes:
        is_cancelled: Whether it is left out.
    """

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Leave it out, and let go of what it would have been called with."""
        self.is_cancelled = True
        self.args = ()


class ProcessLoop(_Base):  # type: ignore[misc]
    """The event loop of one simulated process: what asyncio itself and the product ask of one.

    Attributes:
        name: The process's name in the trace.
        is_alive: False once it crashed or ended.
        can_run: Whether it has something to do now.
        errors: What the loop was told of exceptions that were not caught.
    """

    def __init__(self, timeline: Timeline, name: str, connect: Connect) -> None:
        self.name = name
        self.is_alive = True
        self.can_run = False
        self._is_paused = False
        self.errors: list[str] = []
        self._timeline = timeline
        self._connect = connect
        self._ready: deque[_Handle] = deque()
        self._tasks: list[ref[asyncio.Task[Any]]] = []
        timeline.processes.append(self)

    def run_once(self) -> None:
        """Run what is ready now, as one iteration of asyncio does."""
        ready = self._ready
        self._enter()
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.is_cancelled:
                try:
                    handle.context.run(handle.callback, *handle.args)
                except Exception as error:  # noqa: BLE001  # as asyncio does
                    self.call_exception_handler({"message": f"in {handle.callback}", "exception": error})
            if not self.is_alive:
                break
        self.can_run = bool(ready) and not self._is_paused

    def _enter(self) -> None:
        """Be the running loop; a call of the kernel each time, where it is not already."""
        if self._timeline.running is not self:
            self._timeline.running = self
            asyncio._set_running_loop(self)

    def crash(self) -> None:
        """End it without running anything more."""
        self.is_alive = False
        self._ready.clear()
        self._rest()

    def pause(self) -> None:
        """Stop it, as SIGSTOP does."""
        self._is_paused = True
        self._rest()

    def resume(self) -> None:
        """Let it go on."""
        self._is_paused = False
        if self._ready and not self.can_run:
            self._wake()

    def _append(self, handle: _Handle) -> None:
        self._ready.append(handle)
        if not self.can_run and not self._is_paused:
            self._wake()

    def _wake(self) -> None:
        self.can_run = True
        self._timeline.runnable.append(self)

    def _rest(self) -> None:
        if self.can_run:
            self.can_run = False
            if self in self._timeline.runnable:
                self._timeline.runnable.remove(self)

    def dispose(self) -> None:
        """Close its coroutines, so that they do nothing when they are collected."""
        self.crash()
        closed: set[asyncio.Task[Any]] = set()
        self._enter()
        while tasks := {task for made in self._tasks if (task := made()) is not None and not task.done()} - closed:
            closed |= tasks  # closing one may begin another
            for task in tasks:
                _close(task)

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._timeline.now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Handle:
        handle = _Handle(callback, args, context)
        if self.is_alive:
            self._ready.append(handle)
            if not self.can_run and not self._is_paused:
                self._wake()
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        return self.call_at(self._timeline.now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        timer = _Handle(callback, args, context)
        self._timeline.at(when, self._timer_is_due, timer)
        return timer

    def _timer_is_due(self, timer: _Handle) -> None:
        if self.is_alive and not timer.is_cancelled:  # a cancelled one has stayed where it is
            self._append(timer)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(ref(task))  # asyncio knows them only among those of all runs
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.is_alive:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        return await self._connect(self, protocol_factory)


def lines_of(trace: Iterable[Noted]) -> list[str]:
    """Return a trace for people."""
    return [
        f"{now_s - STARTS_AT_S:9.4f}  {what.format(*map(_shown, parts)) if parts else what}"
        for now_s, what, parts in trace
    ]


def _shown(part: object) -> object:
    """Return what of a part is shown: of bytes the beginning."""
    return part[:SHOWN_BYTES].decode("ascii", "replace").replace("\n", " ") if isinstance(part, bytes) else part


def _close(task: "asyncio.Task[Any]") -> None:
    """End its coroutine where it stands; what it does in its last moment has no effect."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    with suppress(Exception):
        task.get_coro().close()
