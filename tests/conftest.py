"""Fixtures for all tests: a Redis of our own, and an upstream that names its texts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis

from tests.support.fake_upstream import FakeUpstream
from tests.support.ports import free_port
from tests.support.servers.leaks import keys_without_ttl
from tests.support.servers.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests that do not harm it. Its folder's path is short enough for a unix socket."""
    with TemporaryDirectory(prefix="ab-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.kill()


@asynccontextmanager
async def used_cleanly(server: RedisServer) -> AsyncIterator[str]:
    """Lend the shared server, empty; fail the test if a key without a time to live is left."""
    yield server.url
    left = await keys_without_ttl(server.url)
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()
    assert left == []


@pytest.fixture
async def redis_url(shared_redis: RedisServer) -> AsyncIterator[str]:
    """The shared server, empty."""
    async with used_cleanly(shared_redis) as url:
        yield url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server for one test, which may kill it; not started yet."""
    with TemporaryDirectory(prefix="ab-") as folder:
        server = RedisServer(Path(folder))
        yield server
        server.kill()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A running fake upstream."""
    fake = FakeUpstream()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def unused_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    return free_port()
