"""A request that has come whole goes straight to its handler: a third of a worker's CPU less.

For each connection aiohttp has a loop that waits for a request, starts a task for it and looks for its route. Where that
loop waits and one `POST` of a known path has come with its whole body, nothing is left to wait or to look for. Everything
else, a second request before the answer included, is left to that loop, untouched.

1. aiohttp's parser reads every head, or has read one of the same form (known_heads.py), so what is a request is decided in one
   place. It is passed over only where nothing of the connection waits in it (message_bounds.py).
2. The loop sleeps while a handler has a request that came this way: it is woken when a request is left to it. One that has not had
   its first step finds nothing to do then.
3. What aiohttp promises of a handler stays true: it is cancelled with its connection, and a stop waits for it.
4. It needs names of aiohttp's that are not public. A version that lacks one has no shortcuts, and every request the usual way.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, cast

import aiohttp
from aiohttp import web
from aiohttp.http import HttpRequestParser, RawRequestMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

from autobatch_proxy.http.answers import WholeAnswer
from autobatch_proxy.http.plain_requests import PlainRequest
from autobatch_proxy.http.routes import Shortcut
from autobatch_proxy.server.known_heads import KnownHeads, KnownRequest
from autobatch_proxy.server.message_bounds import UNKNOWN, MessageBounds
from autobatch_shared.stopping import PatientConnection

log = logging.getLogger(__name__)

LAST_READ_BYTES = 65_536  # fewer are the last that are read of a connection before aiohttp's loop has its first step
UNKNOWN_HEADS_MAX = 32  # in a row; those of such a connection are not looked for any more
NO_SHORTCUTS: Mapping[str, Shortcut] = MappingProxyType({})
NEEDED: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {
        RequestHandler: (
            "_close",
            "_force_close",
            "_handle_request",
            "_handler_waiter",
            "_keepalive",
            "_keepalive_handle",
            "_keepalive_timeout",
            "_loop",
            "_manager",
            "_messages",
            "_next_keepalive_close_time",
            "_parser",
            "_process_keepalive",
            "_request_count",
            "_request_in_progress",
            "_task_handler",
            "_waiter",
        ),
        HttpRequestParser: ("message_consumed",),
        RawRequestMessage: ("_replace",),
        web.Request: ("_match_info",),
    }
)


def usable(
    shortcuts: Mapping[str, Shortcut], needed: Mapping[type, tuple[str, ...]] = NEEDED
) -> Mapping[str, Shortcut]:
    """Return the shortcuts; none, with a line in the log, where aiohttp lacks a name that they need."""
    missing = [f"{cls.__name__}.{name}" for cls, names in needed.items() for name in names if not hasattr(cls, name)]
    if not missing:
        return shortcuts
    log.warning("shortcuts_off", extra={"aiohttp": aiohttp.__version__, "missing": missing})
    return NO_SHORTCUTS


class FewMessages(list[Any]):
    """What aiohttp keeps messages in that wait: mostly none, for which a deque of the standard library takes 760 bytes a connection."""

    __slots__ = ()

    def popleft(self) -> Any:
        """Take the first one."""
        return self.pop(0)


class ShortcutConnection(PatientConnection):
    """One connection.

    Args:
        manager: The server that it belongs to.
        shortcuts: By path as it is sent.
        heads: Those that were read before, by any connection of this worker.
        options: As aiohttp's connections take them.
    """

    __slots__ = ("_bounds", "_heads", "_known", "_make_request", "_shortcuts", "_taken", "_unknown_heads")

    def __init__(
        self,
        manager: web.Server,
        *,
        shortcuts: Mapping[str, Shortcut] = NO_SHORTCUTS,
        heads: KnownHeads | None = None,
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._messages = cast("Any", FewMessages())
        self._shortcuts = shortcuts
        self._heads = heads
        self._bounds = MessageBounds()
        self._unknown_heads = 0  # one after the other
        self._known: KnownRequest  # whose body is not kept
        self._taken: asyncio.Future[Any] | None = None
        self._make_request = cast("Callable[..., web.Request]", manager.request_factory)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and wake aiohttp's loop only for what has no shortcut."""
        if not self._shortcuts:
            super().data_received(data)
            return
        is_next = self._bounds.owed_bytes == 0
        if is_next and data and self._heads is not None and self._take_known(self._heads, data):
            return
        waiter = self._waiter
        self._waiter = None  # aiohttp would wake its loop with it
        messages = len(self._messages)
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._bounds.owed_bytes != UNKNOWN:
            self._bounds.note(data, [message for message, _ in islice(self._messages, messages, None)])
        is_whole = is_next and self._bounds.owed_bytes == 0
        if self._messages and self._taken is None and not self._take(data if is_whole else b"", len(data)):
            self._wake()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the handler with its connection, as aiohttp does it where it is told to."""
        taken = self._taken
        is_cancelled = taken is not None and self._manager is not None and self._manager.handler_cancellation
        super().connection_lost(exc)
        if taken is not None and is_cancelled:
            taken.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take_known(self, heads: KnownHeads, data: bytes) -> bool:
        """Begin to answer a plain request, if these bytes are one and nothing is before it."""
        known = heads.find(data)
        if known is None:
            self._unknown_heads += 1
            if self._unknown_heads > UNKNOWN_HEADS_MAX:
                self._bounds.owed_bytes = UNKNOWN
            return False
        self._unknown_heads = 0
        if self._taken is not None or not self._is_free(len(data)) or not known.head.route.takes(known.head.facts):
            return False
        self._request_count += 1
        self._request_in_progress = True
        self._end_timer()
        self._known = known._replace(body=b"")  # which may wait for long
        head, values = known.head, known.values
        plain = PlainRequest(head.route, head.facts, head.request_id(values), self)
        plain.begin(head.start(values), known.body)
        return True

    def _is_free(self, came_bytes: int) -> bool:
        """Whether aiohttp's loop waits for a request, or will: a client that has just connected may be faster than its first step.

        Args:
            came_bytes: How many came now.
        """
        if self._close or self._force_close:
            return False
        if self._waiter is not None:
            return not self._waiter.done()
        loop = self._task_handler
        has_begun = loop is None or loop.done() or cast("Any", loop.get_coro()).cr_suspended
        return came_bytes < LAST_READ_BYTES and not has_begun

    def _take(self, data: bytes, came_bytes: int) -> bool:
        """Give the next request to its handler, if it has a shortcut; `data` is its bytes, if they came at once."""
        if len(self._messages) > 1 or not self._is_free(came_bytes):
            return False
        message, payload = self._messages[0]
        if not isinstance(message, RawRequestMessage) or not _is_plain(message, payload):
            return False
        shortcut = self._shortcuts.get(message.path)
        if shortcut is None:
            return False
        self._messages.popleft()
        cast("HttpRequestParser", self._parser).message_consumed()
        if data and self._heads is not None and shortcut.plain is not None:
            self._heads.learn(data, message, shortcut.plain)
        # Its headers a second time, as bytes, which are never read: 1 kB of each request that waits, for 0.2 us.
        request = self._make(message._replace(raw_headers=()), payload, shortcut)
        self._taken = self._loop.create_task(self._answer(request, shortcut.handler))
        return True

    def _make(self, message: RawRequestMessage, payload: StreamReader, shortcut: Shortcut) -> web.Request:
        request = self._make_request(message, payload, self, StreamWriter(self, self._loop), self._task_handler)
        request._match_info = shortcut.match  # noqa: SLF001  # what aiohttp's router does
        return request

    @property
    def peer(self) -> str:
        """The address of who sent the request."""
        name = self.peername
        return str((name[0] if isinstance(name, tuple) else name) or "")

    def wait_for(self, reply: asyncio.Future[Any]) -> None:
        """Take note of what the plain request waits for: it ends with its connection."""
        self._taken = reply

    def write_whole(self, answered: WholeAnswer) -> None:
        """Answer the plain request."""
        transport = self.transport
        stays = False
        if transport is not None and not transport.is_closing():
            transport.write(answered.message())
            stays = True
        self._end_plain()
        self._go_on(stays=stays)

    def answer_by(self, handler: Handler) -> asyncio.Task[None]:
        """Let a handler answer the plain request; return what ends with that."""
        self._taken = task = self._loop.create_task(self._answer(self.request(), handler))
        return task

    def leave(self) -> None:
        """End the plain request, and its connection."""
        self._end_plain()
        self._go_on(stays=False)

    def request(self) -> web.Request:
        """Return the plain request as one of aiohttp's, without its body."""
        message = self._known.head.message(self._known.values)
        return self._make(message, EMPTY_PAYLOAD, self._shortcuts[message.path])

    def _end_plain(self) -> None:
        self._taken = None
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)

    async def _answer(self, request: web.Request, handler: Handler) -> None:
        stays = False
        try:
            response, is_lost = await self._handle_request(request, None, handler)  # type: ignore[arg-type]
            stays = bool(response.keep_alive) and not is_lost
        except ConnectionError:
            pass  # the client disconnected
        except Exception as error:  # noqa: BLE001  # an answer that cannot be written
            self.log_exception("Unhandled exception", exc_info=error)
        finally:
            self._taken = None
            self._go_on(stays=stays)

    def _go_on(self, *, stays: bool) -> None:
        """Begin to wait for the next request, or end the connection."""
        self._keepalive = stays
        if not stays or self._close:
            self.close()
            if self.transport is not None:
                self.transport.close()
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._messages:
            self._wake()

    def _end_timer(self) -> None:
        """End aiohttp's look at whether it is idle, 600 bytes of each connection: `IdleConnections` looks at all of them."""
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
            self._keepalive_handle = None

    def _process_keepalive(self) -> None:
        """Look again later: to aiohttp a connection whose loop sleeps is idle."""
        if self._taken is not None:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()


def _is_plain(message: RawRequestMessage, payload: StreamReader) -> bool:
    """Whether nothing is left to do but to answer it."""
    return message.method == "POST" and payload.is_eof() and not message.upgrade and "Expect" not in message.headers
