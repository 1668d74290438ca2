"""A worker that stops: it accepts no more connections, and answers what those it has accepted were about to send."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from autobatch_proxy.server.connections import Runner
from autobatch_shared import stopping
from tests.support.raw_http import raw_connection, request
from tests.support.waiting import wait_until

ECHO = request(b"body", start=b"POST /echo HTTP/1.1")


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Runner, int]]:
    """Serve `/echo`, which returns the body; yields the server and its port."""

    async def echo(asked: web.Request) -> web.Response:
        return web.Response(body=await asked.read())

    app = web.Application()
    app.router.add_post("/echo", echo)
    runner = Runner(app, access_log=None, handler_cancellation=True, shutdown_timeout=10)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner, runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_connection_without_a_request_may_still_bring_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "FIRST_REQUEST_S", 60.0)
    async with serving() as (runner, port), raw_connection(port) as client:
        await wait_until(lambda: runner.connections)
        ending = asyncio.create_task(runner.cleanup())
        await wait_until(lambda: not runner.sites)
        await client.send([ECHO])
        answered = await client.answer()
        assert answered is not None
        assert (answered.status, answered.body) == (200, b"body")
        assert await client.answer() is None
        await ending


async def test_a_body_that_has_begun_is_read_whole() -> None:
    async with serving() as (runner, port), raw_connection(port) as client:
        await client.send([ECHO[:-2]])
        await wait_until(lambda: any(each.is_receiving for each in runner.connections))
        ending = asyncio.create_task(runner.cleanup())
        await wait_until(lambda: not runner.sites)
        await client.send([ECHO[-2:]])
        answered = await client.answer()
        assert answered is not None
        assert (answered.status, answered.body) == (200, b"body")
        await ending


async def test_a_connection_that_brings_nothing_holds_up_the_stop_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "FIRST_REQUEST_S", 0.05)
    async with serving() as (runner, port), raw_connection(port) as client:
        await wait_until(lambda: runner.connections)
        await runner.cleanup()
        assert await client.answer() is None


async def test_a_connection_between_two_requests_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "FIRST_REQUEST_S", math.inf)
    async with serving() as (runner, port), raw_connection(port) as client:
        await client.send([ECHO])
        assert await client.answer() is not None
        await runner.cleanup()
        assert await client.answer() is None
