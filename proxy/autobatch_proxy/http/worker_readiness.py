"""Whether requests should be sent to this worker: what load balancers ask of it.

It does not depend on batchers or upstreams. Their outage is the same at every worker: a balancer that took all of them
out would answer in its own words, without `Retry-After`.
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
        self._is_stopping = False

    def stop(self) -> None:
        """Not ready from now on: the worker answers what still comes, and then ends."""
        self._is_stopping = True

    @property
    def obstacle(self) -> str:
        """Why requests should go elsewhere; empty if they need not."""
        if self._is_stopping:
            return "this worker is stopping"
        return "" if self._is_connected() else "this worker is not connected to Redis"


READINESS = web.AppKey("readiness", Readiness)
