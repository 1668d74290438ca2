"""The batchers' reports over the link: written, read, and asked for again where the connection breaks."""

from redis.asyncio import Redis

from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.status import BatcherStatus
from autobatch_shared.redis.clock import read_clock
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master

KEYS = Keys("test")


async def test_a_reset_of_the_connection_is_not_bad_health(redis_url: str) -> None:
    link = RedisLink(Master.from_url(redis_url, KEYS), "test")
    link.start()
    assert await link.wait_connected(5)
    control = Control(link, KEYS)
    async with Redis.from_url(redis_url) as redis:
        for round_number in range(3):
            status = BatcherStatus(int(await read_clock(link)), round_number, [])
            await control.report("b1", status)
            await redis.client_kill_filter(_type="normal", skipme=True)
            assert (await control.fleet()).batchers == (status,)
    await control.sign_off("b1")
    assert (await control.fleet()).batchers == ()
    await link.close()
