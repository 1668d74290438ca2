"""Once a second: publish what a process did, for people who look at the fleet. Nothing waits for it, and no request pays for it."""

import logging
import time
from abc import ABC, abstractmethod
from contextlib import suppress

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.watching.activity import Activity

log = logging.getLogger(__name__)

PUBLISH_EVERY_S = 1.0


class ActivityPublisher(ABC):
    """Of one process.

    Attributes:
        round_trip_s: Seconds that Redis took for the last activity.

    Args:
        process: The id of the worker or batcher.
        activities: Where it is published.
    """

    def __init__(self, process: str, activities: Activities) -> None:
        self.round_trip_s = 0.0
        self._process = process
        self._activities = activities
        self._publishing = Periodic("activity", self._publish)

    def start(self) -> None:
        """Begin to publish."""
        self._publishing.start()

    async def close(self) -> None:
        """Stop, and take this process out."""
        await self._publishing.close()
        with suppress(QueueUnavailable):  # then it ends with its TTL
            await self._activities.withdraw(self._process)

    @abstractmethod
    def _activity(self) -> Activity:
        """Return what it did until now."""

    async def _publish(self) -> float:
        activity = self._activity()
        begun_s = time.perf_counter()
        try:
            await self._activities.publish(activity)
        except QueueUnavailable as error:
            log.debug("activity_not_published", extra={"error": str(error)})  # others log the outage
        self.round_trip_s = time.perf_counter() - begun_s
        return PUBLISH_EVERY_S
