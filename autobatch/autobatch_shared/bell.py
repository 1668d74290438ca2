"""Wait for an event or for a time, whichever is over first."""

import asyncio

CLOCK_STEP_S = 0.001  # of uvloop's clock: a timer may end as much too early


class Bell:
    """An event for one waiter: a ring without a waiter is kept. `asyncio.wait_for` would cost a task each time.

    The timer outlives a wait that was rung, for the next one is as long: to set and cancel one costs 3 us.
    """

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[bool] | None = None
        self._ends_s = 0.0  # of the last wait, on the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ends_s = 0.0

    def ring(self) -> None:
        """Wake the waiter, or the next one."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)
        else:
            self._rung = True

    async def wait(self, timeout_s: float) -> bool:
        """Return True once rung, False after `timeout_s` seconds."""
        if self._rung or timeout_s <= 0:
            rung, self._rung = self._rung, False
            return rung
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter, self._ends_s = waiter, loop.time() + timeout_s
        if self._timer is None or self._timer_ends_s > self._ends_s:
            self._set_timer(loop)
        try:
            return await waiter
        finally:
            self._waiter = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ends_s = self._ends_s
        self._timer = loop.call_at(self._ends_s, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the wait whose time has passed; where the timer is that of an earlier one, set it anew."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if loop.time() < self._ends_s - CLOCK_STEP_S:
            self._set_timer(loop)
        else:
            self._waiter.set_result(False)


async def pause(seconds: float) -> None:
    """Let so much time pass: before a retry, or to let a batch fill. Nothing may be waited for in this way."""
    await Bell().wait(seconds)


async def let_others_run() -> None:
    """Let everything that is ready run first: one turn of the event loop."""
    await asyncio.sleep(0)  # noqa: TID251 - no time passes
