"""How large a value Redis takes: at one above its `proto-max-bulk-len` it closes the connection, with all that is on it.

Redis tells its limit only to an administrator, so a large value is tried on a connection of its own before it is pushed. What
was taken once is not tried again until a connection has broken with it.
"""

import asyncio
import logging

from autobatch_shared.contract.errors import QueueUnavailable, RequestTooLarge
from autobatch_shared.contract.keys import ALWAYS_TAKEN_BYTES
from autobatch_shared.redis.link import RedisLink

log = logging.getLogger(__name__)

HEADER_BYTES_MAX = 4096  # of a frame, besides its body
TRIES = 2  # one may meet an outage


class ValueLimit:
    """Knows whether Redis takes a request's bodies.

    Attributes:
        taken_bytes: A body of so many bytes may be pushed.

    Args:
        link: Opens the connections on which values are tried.
    """

    def __init__(self, link: RedisLink) -> None:
        self.taken_bytes = ALWAYS_TAKEN_BYTES - HEADER_BYTES_MAX
        self._link = link
        self._trying = asyncio.Lock()

    async def check(self, body_bytes: int) -> None:
        """Return if Redis takes a body of this size, or cannot be asked now.

        Raises:
            RequestTooLarge: It does not.
        """
        async with self._trying:  # a few megabytes each
            if body_bytes <= self.taken_bytes:
                return
            for _ in range(TRIES):
                try:
                    session = await self._link.open_apart()
                except (OSError, QueueUnavailable):
                    return  # an outage: the push meets it, too
                try:
                    await session.execute(("PING", bytes(body_bytes + HEADER_BYTES_MAX)))
                except QueueUnavailable:
                    continue
                finally:
                    session.abort()
                self.taken_bytes = body_bytes
                return
        log.error("request_too_large_for_redis", extra={"body_bytes": body_bytes})
        raise RequestTooLarge

    def doubt(self) -> None:
        """Forget what was taken: a connection has broken, and Redis's limit may be another one."""
        self.taken_bytes = ALWAYS_TAKEN_BYTES - HEADER_BYTES_MAX
