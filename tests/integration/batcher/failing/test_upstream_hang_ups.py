"""Which failures of a call may mean that the upstream died of it, and whether it is there afterwards."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import aiohttp
import pytest

from autobatch_batcher.dialects.base import Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamUnavailable

Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def replica(session: aiohttp.ClientSession, url: str) -> Replica:
    """An upstream at this address."""
    return Replica(url, HttpClient(session, url, None), [Tei()], configured(32, 10**6), Tuner(1))


def saying(answer: bytes) -> Serving:
    """Read a request's head, say this, and hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return serve


@asynccontextmanager
async def upstream_that(serving: Serving) -> AsyncIterator[Replica]:
    server = await asyncio.start_server(serving, "127.0.0.1", 0)
    async with server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield replica(session, url)


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[["


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", HALF])
async def test_an_upstream_that_hangs_up_may_have_died_of_the_call(said: bytes) -> None:
    async with upstream_that(saying(said)) as upstream:
        upstream.is_healthy = True
        with pytest.raises(UpstreamBroken):
            await upstream.call(Post("/embed", b"{}"), 5)
        assert not upstream.is_healthy


async def test_one_that_refuses_has_not(unused_port: int) -> None:
    async with aiohttp.ClientSession() as session:
        upstream = replica(session, f"http://127.0.0.1:{unused_port}")
        with pytest.raises(UpstreamUnavailable) as raised:
            await upstream.call(Post("/embed", b"{}"), 5)
        assert raised.type is UpstreamUnavailable
        assert not await upstream.listens()


@pytest.mark.parametrize(
    ("said", "listens"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", True),  # not every server has `/health`
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),  # loading, or a balancer's own
        (b"", False),
    ],
)
async def test_whether_it_listens(said: bytes, listens: bool) -> None:  # noqa: FBT001
    async with upstream_that(saying(said)) as upstream:
        assert await upstream.listens() is listens


@asynccontextmanager
async def silent_port() -> AsyncIterator[int]:
    """A port whose queue of connections is full: it neither accepts nor refuses, like an address that has vanished."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def test_one_that_says_nothing_is_not_there() -> None:
    """And no client waits for it as long as for an answer."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=0.05)
    async with silent_port() as port, aiohttp.ClientSession(timeout=timeout) as session:
        upstream = replica(session, f"http://127.0.0.1:{port}")
        upstream.is_healthy = True
        with pytest.raises(UpstreamUnavailable) as raised:
            await upstream.call(Post("/embed", b"{}"), 60)
        assert raised.type is UpstreamUnavailable
        assert not upstream.is_healthy
        assert not await upstream.listens()
