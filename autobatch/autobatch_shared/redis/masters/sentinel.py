"""Redis Sentinel: the Sentinels know which server is the master, each in its own time.

All are asked at each connection. Right after a failover some still name the old master, so each address that one of them
names is a candidate, that which most of them name first.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.session import open_session
from autobatch_shared.settings.redis_urls import split_redis_url

log = logging.getLogger(__name__)

PORT = 26379
ANSWER_MAX_S = 0.5  # one whose host has vanished says nothing, and must not hold up the others' answer


class Sentinels:
    """The master is the one that the Sentinels name.

    Args:
        sentinels: Their addresses.
        service: The name under which they watch the master.
        server: How the master is entered; its host and port are theirs to say.
    """

    def __init__(self, sentinels: Sequence[Address], service: str, server: Address) -> None:
        self._sentinels = sentinels
        self._service = service
        self._server = server

    @classmethod
    def from_url(cls, url: str) -> "Sentinels":
        """Read `redis+sentinel://[user:password@]host1[:26379],host2/service[/db]` URLs.

        User and password are those of the server; `?sentinel_username=` and `?sentinel_password=` those of the Sentinels.
        """
        parts = split_redis_url(url)
        service, _, db = parts.path.strip("/").partition("/")
        username, parts = parts.without("sentinel_username")
        password, parts = parts.without("sentinel_password")
        servers = [Address.from_url(one) for one in parts.each_server(PORT)]
        entered = [replace(one, username=username, password=password, db=0) for one in servers]
        return cls(entered, service, replace(servers[0], db=int(db) if db else servers[0].db))

    async def candidates(self, _last: Address | None) -> Sequence[Address]:
        """Return what the Sentinels name."""
        named = Counter(filter(None, await asyncio.gather(*map(self._ask, self._sentinels))))
        if not named:
            raise QueueUnavailable(f"No Sentinel names a master of {self._service}")
        return [self._server.at(host, port) for (host, port), _ in named.most_common()]

    async def _ask(self, sentinel: Address) -> tuple[str, int] | None:
        """Return the address that one Sentinel names, if it does."""
        try:
            async with asyncio.timeout(ANSWER_MAX_S):
                session = await open_session(sentinel, "master?", ANSWER_MAX_S)
                try:
                    host, port = await session.execute(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service))
                finally:
                    session.abort()
                return host.decode(), int(port)
        except (OSError, QueueUnavailable, TypeError, ValueError, AttributeError) as error:
            log.info("sentinel_unavailable", extra={"address": repr(sentinel), "error": repr(error)})
            return None
