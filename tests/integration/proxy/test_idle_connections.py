"""Connections on which nothing goes on, on a real server."""

import asyncio
from contextlib import suppress

from aiohttp import ClientSession, web

from autobatch_proxy.server.idle_connections import IdleConnections
from tests.support.waiting import wait_until


async def test_a_connection_without_a_request_is_closed_in_time() -> None:
    """And neither one that waits for its answer, nor one that is younger."""
    asked, gate = asyncio.Event(), asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        asked.set()
        await gate.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port, server = runner.addresses[0][1], runner.server
    assert server is not None
    idle = IdleConnections(lambda: server.connections, patience_s=10)
    async with ClientSession() as http:
        asking = asyncio.create_task(http.get(f"http://127.0.0.1:{port}/"))
        await asked.wait()
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-A"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            await wait_until(lambda: len(server.connections) == 2)
            idle.close_old(0)
            idle.close_old(9)
            assert len(server.connections) == 2
            idle.close_old(10)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            await wait_until(lambda: len(server.connections) == 1)
        gate.set()
        assert (await asking).status == 200
    await runner.cleanup()


async def test_the_worker_watches_its_connections_while_it_runs() -> None:
    idle = IdleConnections(list, patience_s=8)
    assert await idle.watch() == 2
