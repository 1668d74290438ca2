"""Whether requests should be sent to this worker: what load balancers ask of it.

It does not depend on batchers or upstreams, nor on Redis once the worker has reached it. Their outage is the same at every
worker: a balancer that took all of them out would answer in its own words, without the reason.
"""

from collections.abc import Callable

from aiohttp import web


class Readiness:
    """The readiness of one worker, which runs.

    Args:
        is_connected: Returns whether requests would be pushed to Redis and replies be read from it.
    """

    def __init__(self, is_connected: Callable[[], bool]) -> None:
        self._is_connected = is_connected
        self._was_connected = False
        self._is_stopping = False

    def stop(self) -> None:
        """Not ready from now on: the worker answers what still comes, and then ends."""
        self._is_stopping = True

    @property
    def obstacle(self) -> str:
        """Why requests should go elsewhere; empty if they need not."""
        if self._is_stopping:
            return "this worker is stopping"
        self._was_connected = self._was_connected or self._is_connected()
        return "" if self._was_connected else "this worker has not reached Redis yet"


READINESS = web.AppKey("readiness", Readiness)
