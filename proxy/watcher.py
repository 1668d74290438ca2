"""What this worker knows of the batchers: one look a second, for all health probes and `/info` calls together."""

import logging

from autobatch.control import Control
from autobatch.errors import QueueUnavailable
from autobatch.periodic import Periodic
from autobatch.status import Fleet

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
LOOK_EVERY_UNHEALTHY_S = 0.1  # somebody may be waiting for readiness


class FleetWatcher:
    """Keeps `fleet` true to within about a second; empty while Redis is away."""

    def __init__(self, control: Control) -> None:
        self.fleet = Fleet((), 0)
        self._limiting = self.fleet
        self._control = control
        self._looking = Periodic("fleet-watcher", self._look)

    def job_inputs_max(self, configured: int) -> int:
        """Inputs that a job may have; while no batcher reports, what the last one said."""
        return self._limiting.batch_inputs_max(configured)

    def open(self) -> None:
        """Begin to look."""
        self._looking.start()

    async def close(self) -> None:
        """Stop looking."""
        await self._looking.close()
        await self._control.close()

    async def _look(self) -> float:
        was_healthy = self.fleet.is_healthy
        try:
            self.fleet = await self._control.fleet()
        except QueueUnavailable:
            self.fleet = Fleet((), 0)
        if self.fleet.upstreams:
            self._limiting = self.fleet
        if self.fleet.is_healthy != was_healthy:
            log.info("health_changed", extra={"is_healthy": self.fleet.is_healthy})
        return LOOK_EVERY_S if self.fleet.is_healthy else LOOK_EVERY_UNHEALTHY_S
