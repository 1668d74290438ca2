"""Redis Sentinel: the Sentinels know which server is the master, each in its own time.

1. Right after a failover some still name the old master, so each address that one of them names is a candidate, that which
   most of them name first.
2. They are asked all the time: in a planned failover the old master takes writes for ten seconds more, and then forgets them.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.masters.outage import Outage, root_of
from autobatch_shared.redis.session import RedisSession, open_session
from autobatch_shared.settings.redis_urls import split_redis_url

log = logging.getLogger(__name__)

PORT = 26379
LOOK_EVERY_S = 0.5
ANSWER_MAX_S = 0.5  # one whose host has vanished says nothing, and must not hold up the others' answer


class Sentinels:
    """The master is the one that the Sentinels name.

    Args:
        sentinels: Their addresses.
        service: The name under which they watch the master.
        server: How the master is entered; its host and port are theirs to say.
    """

    look_every_s: float | None = LOOK_EVERY_S

    def __init__(self, sentinels: Sequence[Address], service: str, server: Address) -> None:
        self._sentinels = sentinels
        self._service = service
        self._server = server
        self._sessions: dict[Address, RedisSession] = {}
        self._outages = {sentinel: Outage() for sentinel in sentinels}
        self._look: asyncio.Task[list[Address]] | None = None

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
        if self._look is None or self._look.done():  # one look for all links
            self._look = asyncio.create_task(self._ask_all(), name="sentinels")
        named = await asyncio.shield(self._look)
        if not named:
            faults = ", ".join(f"{sentinel!r}: {outage.fault}" for sentinel, outage in self._outages.items())
            raise QueueUnavailable(f"No Sentinel names a master of {self._service} ({faults})")
        return named

    async def close(self) -> None:
        """Drop the connections."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)
        for session in self._sessions.values():
            session.abort()
        self._sessions.clear()

    async def _ask_all(self) -> list[Address]:
        named = Counter(filter(None, await asyncio.gather(*map(self._ask, self._sentinels))))
        return [self._server.at(host, port) for (host, port), _ in named.most_common()]

    async def _ask(self, sentinel: Address) -> tuple[str, int] | None:
        """Return the host and port that one Sentinel names, if it does."""
        try:
            async with asyncio.timeout(ANSWER_MAX_S):
                session = await self._session(sentinel)
                reply = await session.execute(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service))
            host, port = reply
            named = host.decode(), int(port)
        except (OSError, QueueUnavailable, TypeError, ValueError, AttributeError) as exc:
            error = exc if isinstance(exc, (OSError, QueueUnavailable)) else QueueUnavailable("It names none")
            if self._outages[sentinel].note(error, asyncio.get_running_loop().time()):
                said = repr(root_of(error))
                log.warning("sentinel_unavailable", extra={"address": repr(sentinel), "error": said})
            if (broken := self._sessions.pop(sentinel, None)) is not None:
                broken.abort()
            return None
        self._outages[sentinel].end()
        return named

    async def _session(self, sentinel: Address) -> RedisSession:
        session = self._sessions.get(sentinel)
        if session is None or session.ended.done():
            session = self._sessions[sentinel] = await open_session(sentinel, "autobatch", ANSWER_MAX_S)
        return session
