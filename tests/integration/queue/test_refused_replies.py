"""A Redis that takes jobs and no replies is told as what it is."""

import asyncio

from redis.asyncio import Redis

from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import ready_house
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until


async def test_where_no_reply_can_be_stored_nothing_is_healthy_until_one_is(
    own_redis: RedisServer, upstream: FakeUpstream
) -> None:
    """A user that may do all but EXEC."""
    own_redis.start()
    async with ready_house(own_redis.url, upstream.url) as house, Redis.from_url(own_redis.url) as redis:
        await redis.acl_setuser("default", enabled=True, commands=["-exec"])
        asked = asyncio.create_task(house.embed("text"))

        async def is_ill() -> bool:
            return not await house.is_healthy()

        await wait_until(is_ill)
        await redis.acl_setuser("default", enabled=True, commands=["+exec"])

        assert (200, [vector("text")]) == await asked
        await wait_until(house.is_healthy)
