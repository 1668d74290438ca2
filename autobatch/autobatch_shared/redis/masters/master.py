"""The server that takes the namespace's writes: found anew for each connection.

Each candidate is asked by a write that changes nothing, a longer life for the epoch's key: a replica refuses it, a node of a
cluster names the node that has the slot, a server that reads its data in says so. Then the epoch is read, and set where there
is none: it tells apart two servers behind one address that both take writes, and the links of a process go to one of them.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import EPOCH_TTL_MS, Keys
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.commands import Command, NotTheMaster, ReplyError
from autobatch_shared.redis.masters.cluster import ClusterNodes
from autobatch_shared.redis.masters.finder import MasterFinder
from autobatch_shared.redis.masters.fixed import FixedAddress
from autobatch_shared.redis.masters.outage import fault_words
from autobatch_shared.redis.masters.sentinel import Sentinels
from autobatch_shared.redis.session import RedisSession, open_session

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_OF_MANY_S = 1.0  # an address that has vanished says nothing, and the next may answer
REDIRECTIONS_MAX = 3  # after a failover a node may name one that has not heard of it yet

#: Of the scheme of REDIS_URL the part after the `+`.
FINDERS: dict[str, type[MasterFinder]] = {"": FixedAddress, "sentinel": Sentinels, "cluster": ClusterNodes}

Leave = Callable[[], None]
Prove = Callable[[Command], None]


class Master:
    """Connects the links of one process.

    Args:
        finder: Knows where the master may be.
        keys: The names of the namespace's keys.
    """

    def __init__(self, finder: MasterFinder, keys: Keys) -> None:
        self._finder = finder
        self._probe: Command = ("PEXPIRE", keys.epoch, EPOCH_TTL_MS)
        self._epoch_key = keys.epoch
        self._epoch = b""  # of the data behind the last session; empty: unknown
        # In order of joining, so that they leave in the same order in each process.
        self._links: dict[Leave, Prove] = {}
        self._last: Address | None = None
        self._named: Address | None = None  # the likeliest when `_last` was found
        self._looking: Periodic | None = None

    @classmethod
    def from_url(cls, url: str, keys: Keys) -> "Master":
        """Read a REDIS_URL.

        Raises:
            SettingsError: It cannot be read.
        """
        return cls(finder_of(url), keys)

    def join(self, leave: Leave, prove: Prove) -> None:
        """Add a link.

        Args:
            leave: Called when the master has moved: ends its session.
            prove: Called when another link has connected: sends its server this write, which ends its session if that is not the master.
        """
        self._links[leave] = prove
        if self._looking is None and self._finder.look_every_s is not None:
            self._looking = Periodic("redis-master", self._look)
            self._looking.start()

    async def part(self, leave: Leave) -> None:
        """Remove a link."""
        self._links.pop(leave, None)
        if not self._links:
            looking, self._looking = self._looking, None
            if looking is not None:
                await looking.close()
            await self._finder.close()

    def moved(self) -> None:
        """Take note that the master is another server: all links of this process look for it anew."""
        for leave in list(self._links):
            leave()

    def prove(self, connected: Leave) -> None:
        """Take note that a link has connected anew: behind the same address may be another server with the same data.

        That link may never have heard why its session ended, and those of the others that only read never would.
        """
        for leave, prove in self._links.items():
            if leave != connected:
                prove(self._probe)

    async def _look(self) -> float:
        """Leave a master that is not named any more, though it may not know yet."""
        with suppress(QueueUnavailable):
            likeliest = (await self._finder.candidates(self._last))[0]
            if self._last is not None and likeliest not in (self._last, self._named):
                log.warning("redis_master_moved", extra={"address": repr(self._last), "now": repr(likeliest)})
                self._named = likeliest
                self.moved()
        return self._finder.look_every_s or 0.0

    async def connect(self, name: str, silence_max_s: float) -> RedisSession:
        """Return a session with the first candidate that takes writes; as `open_session`.

        Raises:
            OSError, QueueUnavailable: There is none now.
        """
        candidates = await self._finder.candidates(self._last)
        timeout_s = CONNECT_TIMEOUT_S if len(candidates) == 1 else CONNECT_TIMEOUT_OF_MANY_S
        errors: list[Exception] = []
        for candidate in candidates:
            try:
                session, epoch = await self._enter(candidate, timeout_s, name, silence_max_s)
            except (OSError, QueueUnavailable) as error:
                errors.append(error)
            else:
                if self._last not in (None, session.address) or (epoch and self._epoch not in (b"", epoch)):
                    self.moved()  # the sessions of the other links are all with the last one
                self._last, self._named = session.address, candidates[0]
                self._epoch = epoch or self._epoch
                return session
        if len(errors) == 1:
            raise errors[0]
        tried = (f"{address!r}: {fault_words(error)}" for address, error in zip(candidates, errors, strict=True))
        raise QueueUnavailable(f"None of these is the master: {', '.join(tried)}")

    async def _enter(
        self, address: Address, timeout_s: float, name: str, silence_max_s: float
    ) -> tuple[RedisSession, bytes]:
        """Connect to a server, or to the node that it names; return the epoch of its data, too."""
        for _ in range(REDIRECTIONS_MAX + 1):
            async with asyncio.timeout(timeout_s):
                session = await open_session(address, name, silence_max_s)
                try:
                    epoch = await self._ask(session)
                except BaseException as error:
                    session.abort()
                    moved_to = redirection(error)
                    if moved_to is None:
                        raise
                    host, port = moved_to
                    address = address.at(host or address.host, port)
                else:
                    return session, epoch
        raise QueueUnavailable(f"The nodes name one another, at last {address!r}")

    async def _ask(self, session: RedisSession) -> bytes:
        """Return the epoch if the server takes writes; empty where it refuses for other reasons, which each command reports."""
        key, new = self._epoch_key, token_hex(8)
        try:
            await session.execute(self._probe)
            await session.execute(("SET", key, new, "NX", "PX", EPOCH_TTL_MS))
            epoch = await session.execute(("GET", key))
        except NotTheMaster:
            raise
        except ReplyError:
            return b""
        return epoch if isinstance(epoch, bytes) else b""


def finder_of(url: str) -> MasterFinder:
    """Return what finds the master of a REDIS_URL.

    Raises:
        SettingsError: It cannot be read.
    """
    kind = url.partition("://")[0].partition("+")[2]
    return FINDERS[kind].from_url(url)


def redirection(error: BaseException) -> tuple[str, int] | None:
    """Return the host and port of a `MOVED <slot> <host>:<port>`; the host is empty if it is that of the node asked."""
    words = str(error).split()
    if not isinstance(error, NotTheMaster) or len(words) != 3 or words[0] != "MOVED":
        return None
    host, _, port = words[2].rpartition(":")
    return (host, int(port)) if port.isdecimal() else None
