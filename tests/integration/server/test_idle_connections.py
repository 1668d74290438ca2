"""Connections whose clients are slow, idle or gone, on a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession, web

from autobatch_proxy.server.connections import Runner
from autobatch_proxy.server.idle_connections import IdleConnections
from tests.support.raw_http import raw_connection, request
from tests.support.waiting import wait_until

PATIENCE_S = 10.0
LARGE_BYTES = 20_000_000  # more than the kernel takes for a client that does not read
GET = request(start=b"GET / HTTP/1.1", is_json=False, length=False)


@dataclass
class IdleServer:
    """A server that answers when it may."""

    runner: Runner
    port: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    answer: bytes = b"answer"

    def idle(self) -> IdleConnections:
        return IdleConnections(lambda: self.runner.connections, PATIENCE_S)


@asynccontextmanager
async def serving(keepalive_s: float = 75) -> AsyncIterator[IdleServer]:
    async def handle(_request: web.Request) -> web.Response:
        server.asked.set()
        await server.may_answer.wait()
        return web.Response(body=server.answer)

    app = web.Application()
    app.router.add_get("/", handle)
    server = IdleServer(Runner(app, keepalive_timeout=keepalive_s, access_log=None))
    await server.runner.setup()
    await web.TCPSite(server.runner, "127.0.0.1", 0).start()
    server.port = server.runner.addresses[0][1]
    yield server
    server.may_answer.set()
    await server.runner.cleanup()


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_a_connection_in_use_is_never_closed() -> None:
    """A request now and then, between any two looks, for longer than an idle connection lives."""
    async with serving() as server, raw_connection(server.port) as client:
        server.may_answer.set()
        idle = server.idle()
        start_s = now_s()
        for look in range(10):
            await client.send([GET])
            answered = await client.answer()
            assert answered is not None
            (connection,) = server.runner.connections
            # As if there were so much time between two looks, and each request came just after one.
            connection._next_keepalive_close_time = start_s + look * PATIENCE_S / 4 + connection.keepalive_timeout
            idle.close_old(start_s + (look + 1) * PATIENCE_S / 4)
        assert server.runner.connections == [connection]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-A"], ids=["nothing", "half a head"])
async def test_a_connection_without_a_request_is_closed_in_time(sent: bytes) -> None:
    """And no other one, neither if it waits for its answer nor if it is younger."""
    async with serving() as server, ClientSession() as http:
        idle = server.idle()
        asking = asyncio.create_task(http.get(f"http://127.0.0.1:{server.port}/"))
        await server.asked.wait()
        before_s = now_s()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        await wait_until(lambda: len(server.runner.connections) == 2)
        idle.close_old(before_s + PATIENCE_S)
        assert len(server.runner.connections) == 2
        idle.close_old(now_s() + PATIENCE_S)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        await wait_until(lambda: len(server.runner.connections) == 1)
        server.may_answer.set()
        assert (await asking).status == 200


async def test_aiohttp_closes_what_waits_for_its_next_request_and_counts_from_the_end_of_the_last() -> None:
    async with serving(keepalive_s=0.2) as server, raw_connection(server.port) as client:
        server.may_answer.set()
        await client.send([GET])
        answered = await client.answer()
        assert answered is not None
        assert await client.answer() is None  # the end, and no reset
        await wait_until(lambda: not server.runner.connections)


async def test_a_client_that_does_not_read_its_answer_loses_its_connection() -> None:
    """Aiohttp's own end of a connection waits until all of it was read; a client that reads, be it slowly, keeps it."""
    async with serving(keepalive_s=0.1) as server:
        server.may_answer.set()
        server.answer = b"x" * LARGE_BYTES
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(GET)
        await wait_until(lambda: bool(server.runner.connections) and server.runner.connections[0].unread_bytes > 0)
        idle, start_s = server.idle(), now_s()
        idle.close_old(start_s)
        (connection,) = server.runner.connections
        unread_bytes = connection.unread_bytes
        read = 0
        while connection.unread_bytes == unread_bytes:
            read += len(await reader.read(1_000_000))
        idle.close_old(start_s + PATIENCE_S)  # it has read some
        assert server.runner.connections == [connection]
        unread_bytes = connection.unread_bytes
        for patience in (1, 2, 3):  # the socket may take some more at first
            idle.close_old(start_s + (1 + patience) * PATIENCE_S)
        await wait_until(lambda: not server.runner.connections)
        writer.transport.abort()


async def test_the_worker_watches_its_connections_while_it_runs() -> None:
    idle = IdleConnections(list, patience_s=8)
    assert await idle.watch() == 2
