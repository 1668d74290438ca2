"""A connection to Redis's master that keeps itself alive.

1. While there is no connection, `execute` fails at once; it never queues and never repeats a command.
2. It reconnects by itself until it is closed, to whichever server is the master then.
3. When one link of a process learns that its server is not the master any more, all of them look for it anew. When one has
   connected anew for any other reason, the others ask their server.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from autobatch_shared.bell import pause
from autobatch_shared.redis.commands import Command, refusal_of
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.masters.outage import Outage, root_of
from autobatch_shared.redis.session import RedisSession, unavailable

log = logging.getLogger(__name__)

RETRY_PAUSE_S = 0.02  # a Redis that is connected and refuses is not asked again at once
RECONNECT_PAUSE_MAX_S = 0.25  # a restarted Redis, or a new master, is found within this time


class RedisLink:
    """A connection that keeps itself alive. Call `start` inside the loop, `close` at the end.

    Args:
        master: Finds the server; the same for all links of a process.
        name: The connection's name, which `CLIENT LIST` shows.
        silence_max_s: Seconds that commands wait for any byte before the peer counts as dead, which is noticed after
            half to the whole of it; half must exceed the longest blocking command on this link.

    Attributes:
        connections: Number of connections so far. Behind a new one may be another Redis, or other data.
        refusal: Why the server was not entered, in its word, such as `NOREPLICAS`; empty: it was, or did not answer.
    """

    def __init__(self, master: Master, name: str, silence_max_s: float = 2.0) -> None:
        self.connections = 0
        self.refusal = ""
        self._master = master
        self._name = name
        self._silence_max_s = silence_max_s
        self._session: RedisSession | None = None
        self._outage = Outage()
        self._connected = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a command would be sent now."""
        return self._connected.is_set()

    @property
    def fault(self) -> str:
        """Why there is no connection, in words; empty: there is one, or none was tried yet."""
        return self._outage.fault

    def start(self) -> None:
        """Begin to connect, and to reconnect for ever."""
        self._keeper = asyncio.create_task(self._keep(), name=f"redis-{self._name}")
        self._master.join(self._leave, self._prove)

    async def close(self) -> None:
        """Drop the connection; commands still waiting fail."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._master.part(self._leave)

    async def wait_connected(self, timeout_s: float) -> bool:
        """Return whether there is a connection, after at most `timeout_s` seconds."""
        if self._connected.is_set():
            return True
        try:
            await asyncio.wait_for(self._connected.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def execute(self, *args: str | bytes | int) -> asyncio.Future[Any]:
        """Send one command. The future gives the reply, or raises `ReplyError` or `QueueUnavailable`."""
        return self._session.execute(args) if self._session is not None else unavailable()

    def transaction(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send several commands between MULTI and EXEC. The future gives their replies, errors as values."""
        return self._session.transaction(commands) if self._session is not None else unavailable()

    async def open_apart(self) -> RedisSession:
        """Return a session beside this link, for a command that may break it; the caller aborts it.

        Raises:
            OSError, QueueUnavailable: There is no master now.
        """
        return await self._master.connect(f"{self._name}-apart", self._silence_max_s)

    async def _keep(self) -> None:
        """Connect, serve until the connection ends, and again; the pause grows while Redis does not answer."""
        pause_s = 0.0
        while True:
            session = None
            try:
                session = await self._master.connect(self._name, self._silence_max_s)
                pause_s = 0.0
                if not session.ended.done():
                    session.on_lost = self._disconnected
                    self.connections += 1
                    self._session = session
                    self.refusal = ""
                    self._outage.end()
                    self._connected.set()
                    if self.connections > 1:
                        self._master.prove(self._leave)
                log.info("redis_connected", extra={"link": self._name, "address": repr(session.address)})
                await session.ended
                if session.refusal is not None:
                    log.warning("redis_master_moved", extra={"link": self._name, "error": str(session.refusal)})
                    self._master.moved()
            except Exception as error:  # noqa: BLE001  # no fault may end the trying
                self.refusal = refusal_of(error)
                if self._outage.note(error, asyncio.get_running_loop().time()):
                    said = repr(root_of(error))
                    log.warning("redis_unreachable", extra={"link": self._name, "error": said})
            finally:
                self._disconnected()
                if session is not None:
                    session.abort()
            pause_s = min(max(RETRY_PAUSE_S, pause_s * 2), RECONNECT_PAUSE_MAX_S)
            await pause(pause_s)

    def _leave(self) -> None:
        """End the session with a server that is not the master any more."""
        if self._session is not None:
            self._session.abort()

    def _prove(self, probe: Command) -> None:
        """Ask the server for a write: a session that is refused ends by itself."""
        if self._session is not None:
            self._session.execute(probe).add_done_callback(_dropped)

    def _disconnected(self) -> None:
        """Mark the link as disconnected before any waiter fails, or it would try again at once."""
        self._connected.clear()
        self._session = None


def _dropped(reply: asyncio.Future[Any]) -> None:
    """Take note of an error, or asyncio would log that it was lost."""
    if not reply.cancelled():
        reply.exception()
