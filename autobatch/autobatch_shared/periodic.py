"""Repeat a piece of work until it is stopped; a round that fails does not end it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from autobatch_shared.bell import Bell

log = logging.getLogger(__name__)

AFTER_FAILURE_S = 1.0


class Periodic:
    """A task of its own.

    Args:
        name: The task's name in the logs.
        work: Does one round and returns the seconds until the next.
        after_failure_s: Seconds until the next round after one that failed.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[float]], after_failure_s: float = AFTER_FAILURE_S
    ) -> None:
        self._name = name
        self._work = work
        self._after_failure_s = after_failure_s
        self._pause = Bell()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a round at once."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    def hurry(self) -> None:
        """Begin the next round now, or once the present one has ended."""
        self._pause.ring()

    async def close(self) -> None:
        """Let the current round end, and end.

        Not by cancelling: a round ends whole.
        """
        self._is_closing = True
        self._pause.ring()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._is_closing:
            try:
                pause_s = await self._work()
            except Exception:  # the next round may go well
                log.exception("round_failed", extra={"task": self._name})
                pause_s = self._after_failure_s
            await self._pause.wait(pause_s)
