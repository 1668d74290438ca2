"""Wait for a condition instead of a time: no longer than necessary, and long enough on a slow machine."""

import asyncio
import inspect
import time
from collections.abc import Callable

POLL_S = 0.01
PATIENCE_S = 60.0  # of a test that would pass on a machine that does ten things at once; half of pytest's own limit


async def wait_until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Return once `condition()`, awaited if it is a coroutine, is truthy; fail after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        outcome = condition()
        value = await outcome if inspect.isawaitable(outcome) else outcome
        if value:
            return
        assert time.monotonic() < deadline, f"still {value!r} after {timeout_s} s"
        await asyncio.sleep(POLL_S)
