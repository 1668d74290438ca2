"""Each test of the queue's operations runs on a real server, on fakeredis, and on a server with the users that we deploy."""

from collections.abc import AsyncIterator

import pytest
from fakeredis import FakeAsyncRedis

from tests.conftest import used_cleanly
from tests.integration.fake_commands import FakeCommands
from tests.integration.redis.queue_ends.ends import QueueEnds, linked
from tests.support.servers.redis_server import RedisServer


@pytest.fixture(params=["real", "fake", "locked"])
async def ends(request: pytest.FixtureRequest, shared_redis: RedisServer) -> AsyncIterator[QueueEnds]:
    if request.param == "fake":
        fake = FakeAsyncRedis(version=(7, 0))
        yield QueueEnds(FakeCommands(fake), FakeCommands(fake), fake)
        await fake.aclose()
        return
    if request.param == "locked":
        locked = request.getfixturevalue("locked_redis")
        async with linked(locked.url, locked.admin_url) as linked_ends:
            yield linked_ends
        assert locked.refused() == []
        return
    async with used_cleanly(shared_redis) as url, linked(url, url) as linked_ends:
        yield linked_ends
