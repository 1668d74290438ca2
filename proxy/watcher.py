"""What this worker knows of the batchers: one look a second, for all health probes and `/info` calls together."""

import asyncio
import contextlib
import logging

from autobatch.bell import Bell
from autobatch.control import Control
from autobatch.errors import QueueUnavailable
from autobatch.status import Fleet

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
LOOK_EVERY_UNHEALTHY_S = 0.1  # somebody may be waiting for readiness
EMPTY = Fleet((), 0)


class FleetWatcher:
    """Keeps `fleet` true to within about a second; empty while Redis is away."""

    def __init__(self, control: Control) -> None:
        self.fleet = EMPTY
        self._control = control
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look_for_ever(), name="fleet-watcher")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._control.close()

    async def _look_for_ever(self) -> None:
        pause = Bell()
        while True:
            was_healthy = self.fleet.is_healthy
            try:
                self.fleet = await self._control.fleet()
            except QueueUnavailable:
                self.fleet = EMPTY
            except Exception:  # a watcher that died would leave health as it was, for ever
                log.exception("fleet_watcher_failed")
                self.fleet = EMPTY
            if self.fleet.is_healthy != was_healthy:
                log.info("health_changed", extra={"is_healthy": self.fleet.is_healthy})
            await pause.wait(LOOK_EVERY_S if self.fleet.is_healthy else LOOK_EVERY_UNHEALTHY_S)
