"""Wait for an event or for a time, whichever is over first."""

import asyncio


class Bell:
    """An event for one waiter: a ring without a waiter is kept. `asyncio.wait_for` would cost a task each time."""

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[bool] | None = None

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
        self._waiter = waiter
        timer = loop.call_later(timeout_s, _give_up, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None


async def pause(seconds: float) -> None:
    """Let so much time pass: before a retry, or to let a batch fill. Nothing may be waited for in this way."""
    await Bell().wait(seconds)


async def let_others_run() -> None:
    """Let everything that is ready run first: one turn of the event loop."""
    await asyncio.sleep(0)  # noqa: TID251 - no time passes


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
