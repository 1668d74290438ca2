"""One pipelining connection to Redis for the few commands that every request pays for.

A bare protocol over hiredis: 14 us of CPU a command where redis-py takes 91 (unix socket, uvloop). Everything else,
such as health and inspection, goes through redis-py (`autobatch/autobatch_shared/redis/control.py`).

1. Commands of one event-loop tick leave in one write, answers come in order.
2. While there is no connection, `execute` fails at once; it never queues and never repeats a command.
3. When the connection breaks, every waiting command fails with one clear error: it may or may not have been applied.
4. It reconnects by itself until it is closed. A peer that stays silent while commands wait is given up as broken.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis

from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.commands import Command, reply_error

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 3.0
RETRY_PAUSE_S = 0.02  # a Redis that is connected and refuses is not asked again at once
RECONNECT_PAUSE_MAX_S = 1.0  # a restarted Redis is found within this time


class RedisLink:
    """A connection that keeps itself alive. Call `start` inside the loop, `close` at the end.

    Args:
        address: The server's address, from `Address.from_url`.
        name: The connection's name, which `CLIENT LIST` shows.
        silence_max_s: Seconds that commands wait for any byte before the peer counts as dead, which is noticed after
            half to the whole of it; half must exceed the longest blocking command on this link.
    """

    def __init__(self, address: Address, name: str, silence_max_s: float = 2.0) -> None:
        self._address = address
        self._name = name
        self._silence_max_s = silence_max_s
        self._session: _Session | None = None
        self._connected = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a command would be sent now."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begin to connect, and to reconnect for ever."""
        self._keeper = asyncio.create_task(self._keep(), name=f"redis-{self._name}")

    async def close(self) -> None:
        """Drop the connection; commands still waiting fail."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

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
        return self._session.execute(args) if self._session is not None else _unavailable()

    def transaction(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send several commands between MULTI and EXEC. The future gives their replies, errors as values."""
        return self._session.transaction(commands) if self._session is not None else _unavailable()

    async def _keep(self) -> None:
        """Connect, serve until the connection ends, and again; the pause grows while Redis does not answer."""
        pause_s, logged = 0.0, ""
        while True:
            session = None
            try:
                session = await asyncio.wait_for(self._connect(), CONNECT_TIMEOUT_S)
                pause_s, logged = 0.0, ""
                if not session.ended.done():
                    self._session = session
                    self._connected.set()
                log.info("redis_connected", extra={"link": self._name, "address": repr(self._address)})
                await session.ended
            except Exception as error:  # noqa: BLE001  # no fault may end the trying
                if logged != (logged := repr(error)):  # once a reason, not once a try
                    log.warning("redis_unreachable", extra={"link": self._name, "error": logged})
            finally:
                self._disconnected()
                if session is not None:
                    session.abort()
            pause_s = min(max(RETRY_PAUSE_S, pause_s * 2), RECONNECT_PAUSE_MAX_S)
            await pause(pause_s)

    def _disconnected(self) -> None:
        """Mark the link as disconnected before any waiter fails, or it would try again at once."""
        self._connected.clear()
        self._session = None

    async def _connect(self) -> "_Session":
        """Open the socket, authenticate, choose the database."""
        loop = asyncio.get_running_loop()
        address = self._address

        def session() -> _Session:
            return _Session(loop, self._silence_max_s, self._disconnected)

        if address.path:
            _, opened = await loop.create_unix_connection(session, address.path)
        else:
            _, opened = await loop.create_connection(session, address.host, address.port, ssl=address.tls)
        try:
            if address.password is not None:
                user = (address.username,) if address.username else ()
                await opened.execute(("AUTH", *user, address.password))
            if address.db:
                await opened.execute(("SELECT", address.db))
            # Also proves that the server takes commands, not only connections.
            await opened.execute(("CLIENT", "SETNAME", self._name))
        except BaseException:
            opened.abort()
            raise
        return opened


def _unavailable() -> asyncio.Future[Any]:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(QueueUnavailable())
    return future


class _Session(asyncio.Protocol):
    """One connection from its opening to its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, silence_max_s: float, on_lost: Callable[[], None]) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._silence_max_s = silence_max_s
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._out: list[bytes] = []
        self._ignored: asyncio.Future[Any] = loop.create_future()
        self._ignored.set_result(None)
        self._heard = True
        self._watchdog: asyncio.TimerHandle | None = None

    def execute(self, args: Command) -> asyncio.Future[Any]:
        """Queue one command for this tick's write."""
        if self.ended.done():
            return _unavailable()
        future = self._loop.create_future()
        self._queue(hiredis.pack_command(args), future)  # type: ignore[arg-type]
        return future

    def transaction(self, commands: Sequence[Command]) -> asyncio.Future[Any]:
        """Queue a transaction for this tick's write. Only the reply to EXEC says anything."""
        if self.ended.done():
            return _unavailable()
        # All is packed before anything is queued: a fault must not leave a transaction open.
        packed = [hiredis.pack_command(command) for command in (("MULTI",), *commands, ("EXEC",))]  # type: ignore[arg-type]
        future = self._loop.create_future()
        for part in packed[:-1]:
            self._queue(part, self._ignored)
        self._queue(packed[-1], future)
        return future

    def _queue(self, packed: bytes, future: asyncio.Future[Any]) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packed)
        self._waiting.append(future)

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None and not self.ended.done():
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()

    def _check_silence(self) -> None:
        """End the session when two checks in a row find commands waiting and no byte received between them."""
        if self._waiting and not self._heard:
            log.warning("redis_silent", extra={"waiting": len(self._waiting)})
            self.abort()
            return
        self._heard = not self._waiting
        self._watchdog = self._loop.call_later(self._silence_max_s / 2, self._check_silence)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._check_silence()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if not waiting:  # Redis sends an unasked reply only to say why it hangs up
                    log.debug("redis_hangs_up", extra={"reply": repr(reply)})
                    self.abort()
                    return
                future = waiting.popleft()
                if future.done():
                    continue  # ignored, or the caller has gone; the reply had to be taken off all the same
                if isinstance(reply, hiredis.ReplyError):
                    future.set_exception(reply_error(reply))
                else:
                    future.set_result(reply)
        except (hiredis.HiredisError, TypeError, ValueError) as error:  # of hiredis: a map whose key is a list
            log.warning("redis_protocol_error", extra={"error": type(error).__name__})
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._on_lost()
        self._out.clear()
        for future in self._waiting:
            if not future.done():
                future.set_exception(QueueUnavailable("The connection to the queue broke."))
        self._waiting.clear()
        if not self.ended.done():
            self.ended.set_result(None)
        if exc is not None:
            log.debug("redis_connection_lost", extra={"error": repr(exc)})
