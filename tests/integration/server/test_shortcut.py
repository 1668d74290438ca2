"""Which requests go straight to their handler, and that aiohttp's loop for the connection goes on beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from autobatch_proxy.http.routes import Shortcut
from autobatch_proxy.server.connections import Runner
from autobatch_proxy.server.shortcut import usable
from tests.support.raw_http import RawConnection, chunked, raw_connection, request
from tests.support.waiting import wait_until

ECHO = request(b"body", start=b"POST /echo HTTP/1.1")
WAIT = request(b"body", start=b"POST /wait HTTP/1.1")


@dataclass
class ShortcutServer:
    """A server whose answers say which way a request came.

    Attributes:
        begun: The requests that wait.
        gone: Number of requests whose handler was cancelled.
        may_answer: Whether requests that wait are answered.
    """

    runner: Runner
    port: int = 0
    begun: list[web.Request] = field(default_factory=list)
    gone: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def is_waiting(self) -> bool:
        """Whether aiohttp's loop of the one connection waits for a request."""
        return [connection._waiter is not None for connection in self.runner.connections] == [True]


class WrittenTransport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def serving(keepalive_s: float = 75, *, has_shortcuts: bool = True) -> AsyncIterator[ShortcutServer]:
    """Serve `/echo`, which returns the body, `/wait`, which waits before, and `/broken`, which fails."""
    app = web.Application()
    shortcuts = {}

    async def echo(asked: web.Request) -> web.Response:
        return web.Response(body=await asked.read())

    async def wait(asked: web.Request) -> web.Response:
        server.begun.append(asked)
        try:
            await server.may_answer.wait()
        except asyncio.CancelledError:
            server.gone += 1
            raise
        return web.Response(body=await asked.read())

    async def fail(_asked: web.Request) -> web.Response:
        raise ValueError

    for path, handler in (("/echo", echo), ("/wait", wait), ("/broken", fail)):
        route = app.router.add_route("*", path, naming(handler, "router"))
        match = UrlMappingMatchInfo({}, route)
        match.add_app(app)
        shortcuts[path] = Shortcut(naming(handler, "shortcut"), match)
    runner = Runner(
        app,
        shortcuts=shortcuts if has_shortcuts else {},
        keepalive_timeout=keepalive_s,
        access_log=None,
        handler_cancellation=True,
        lingering_time=0,
        shutdown_timeout=10,
    )
    server = ShortcutServer(runner)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        server.may_answer.set()
        await runner.cleanup()


def naming(handler: Handler, way: str) -> Handler:
    """The same handler, whose answers say the way."""

    async def named(asked: web.Request) -> web.StreamResponse:
        response = await handler(asked)
        response.headers["way"] = way
        return response

    return named


async def way_of(client: RawConnection) -> str:
    """Return the way that the next answer says."""
    answered = await client.answer()
    assert answered is not None
    assert (answered.status, answered.body) == (200, b"body")
    return answered.headers["way"]


async def test_a_request_that_waits_has_its_headers_once() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await client.send([WAIT])
        await wait_until(lambda: len(server.begun) == 1)
        (waiting,) = server.begun
        assert ((), "4") == (waiting.raw_headers, waiting.headers["Content-Length"])
        server.may_answer.set()
        assert "shortcut" == await way_of(client)


async def test_requests_that_come_whole_take_the_shortcut_one_after_the_other() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await wait_until(server.is_waiting)
        for _ in range(3):
            await client.send([ECHO])
            assert await way_of(client) == "shortcut"


@pytest.mark.parametrize(("body_bytes", "way"), [(0, b"shortcut"), (70_000, b"router")])
async def test_a_request_need_not_wait_for_the_first_step_of_aiohttps_loop(body_bytes: int, way: bytes) -> None:
    """As of a client that is faster; of a long one more could come before that step, and be answered first."""
    async with serving() as server:
        assert server.runner.server is not None
        connection, transport = server.runner.server(), WrittenTransport()
        connection.connection_made(transport)

        connection.data_received(request(b"b" * body_bytes, start=b"POST /echo HTTP/1.1"))

        await wait_until(lambda: b"way: " + way in transport.written)
        connection.connection_lost(None)


@pytest.mark.parametrize(
    "sent",
    [
        request(b"body", start=b"GET /echo HTTP/1.1"),
        request(b"body", start=b"POST /echo?a=b HTTP/1.1"),
        request(b"body", start=b"POST /ech%6f HTTP/1.1"),
        request(b"body", b"Expect: 100-continue", start=b"POST /echo HTTP/1.1"),
        request(b"body", b"Connection: upgrade", b"Upgrade: x", start=b"POST /echo HTTP/1.1"),
    ],
    ids=["method", "query", "spelling", "expects", "upgrade"],
)
async def test_everything_else_goes_the_usual_way_and_the_next_request_need_not(sent: bytes) -> None:
    async with serving() as server, raw_connection(server.port) as client:
        for each, way in ((sent, "router"), (ECHO, "shortcut")):
            await wait_until(server.is_waiting)
            await client.send([each])
            assert await way_of(client) == way


async def test_a_body_that_comes_later_is_waited_for_in_the_usual_way() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await wait_until(server.is_waiting)
        await client.send([ECHO[:-4]])
        await wait_until(lambda: server.runner.connections[0].is_computing)
        await client.send([ECHO[-4:]])
        assert await way_of(client) == "router"


async def test_a_body_in_chunks_that_came_whole_is_read_whole() -> None:
    sent = request(chunked(b"bo", b"dy"), b"Transfer-Encoding: chunked", start=b"POST /echo HTTP/1.1", length=False)
    async with serving() as server, raw_connection(server.port) as client:
        await client.send([sent])
        await way_of(client)


async def test_requests_that_come_before_the_answer_are_answered_in_their_order() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await wait_until(server.is_waiting)
        await client.send([WAIT])
        await wait_until(lambda: len(server.begun) == 1)
        later = [request(b"%d" % number, start=b"POST /echo HTTP/1.1") for number in range(40)]  # aiohttp pauses at 32
        await client.send(later)
        server.may_answer.set()
        assert await way_of(client) == "shortcut"
        answers = [await client.answer() for _ in later]
        assert [answered.body for answered in answers if answered] == [b"%d" % number for number in range(40)]
        await wait_until(server.is_waiting)
        await client.send([ECHO])
        assert await way_of(client) == "shortcut"


async def test_a_client_that_disconnects_ends_its_handler() -> None:
    async with serving() as server:
        async with raw_connection(server.port) as client:
            await wait_until(server.is_waiting)
            await client.send([WAIT])
            await wait_until(lambda: bool(server.begun))
        await wait_until(lambda: server.gone == 1)
        await wait_until(lambda: not server.runner.connections)


async def test_a_connection_is_not_idle_while_its_request_is_handled() -> None:
    async with serving(keepalive_s=0.1) as server, raw_connection(server.port) as client:
        await wait_until(server.is_waiting)
        await client.send([WAIT])
        await wait_until(lambda: bool(server.begun))
        (connection,) = server.runner.connections
        assert connection.is_computing
        before_s = connection.idle_since_s
        await wait_until(lambda: connection.idle_since_s > before_s)  # its time was over
        server.may_answer.set()
        assert await way_of(client) == "shortcut"
        assert await client.answer() is None  # closed, once it is idle


def test_an_aiohttp_that_lacks_a_name_has_no_shortcuts(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(_asked: web.Request) -> web.Response:
        raise NotImplementedError

    found = {"/echo": Shortcut(handle, UrlMappingMatchInfo({}, web.UrlDispatcher().add_get("/echo", handle)))}
    assert usable(found) is found
    assert caplog.messages == []
    assert usable(found, {web.Request: ("_gone",)}) == {}
    assert [record.missing for record in caplog.records] == [["Request._gone"]]  # type: ignore[attr-defined]


async def test_without_shortcuts_every_request_goes_the_usual_way() -> None:
    async with serving(has_shortcuts=False) as server:
        async with raw_connection(server.port) as client:
            for _ in range(2):
                await client.send([ECHO])
                assert await way_of(client) == "router"
            await client.send([WAIT])
            await wait_until(lambda: len(server.begun) == 1)
        await wait_until(lambda: server.gone == 1)


async def test_a_stop_waits_for_the_answer() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await wait_until(server.is_waiting)
        await client.send([WAIT])
        await wait_until(lambda: bool(server.begun))
        stopping = asyncio.create_task(server.runner.cleanup())
        await wait_until(lambda: server.runner.connections[0]._handler_waiter is not None)
        server.may_answer.set()
        assert await way_of(client) == "shortcut"
        assert await client.answer() is None
        await stopping


async def test_a_client_that_wants_no_further_answer_gets_none() -> None:
    last = request(b"body", b"Connection: close", start=b"POST /echo HTTP/1.1")
    async with serving() as server, raw_connection(server.port) as client:
        await wait_until(server.is_waiting)
        await client.send([last])
        assert await way_of(client) == "shortcut"
        assert await client.answer() is None
        await wait_until(lambda: not server.runner.connections)


async def test_a_handler_that_fails_is_answered_and_ends_the_connection() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await wait_until(server.is_waiting)
        await client.send([request(b"body", start=b"POST /broken HTTP/1.1")])
        answered = await client.answer()
        assert answered is not None
        assert answered.status == 500
        assert await client.answer() is None
