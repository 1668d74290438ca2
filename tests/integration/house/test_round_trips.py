"""What requests that come alone cost Redis."""

import asyncio

from redis.asyncio import Redis

from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house

REQUESTS = 100
READS_MAX = 4  # a request
BESIDES_PER_S = (
    60  # beats, reports and looks, which go on while a busy machine takes its time; 33 where nothing is asked
)


async def test_requests_one_after_the_other_cost_few_round_trips(redis_url: str, upstream: FakeUpstream) -> None:
    """A message each: the push, the watch with its claim, the reply, the inbox with its reply."""
    async with ready_house(redis_url, upstream.url) as house, Redis.from_url(redis_url) as redis:
        for number in range(10):  # until it is known that they come alone
            await house.embed(f"before {number}")
        before, began_s = await redis.info("stats"), asyncio.get_running_loop().time()
        for number in range(REQUESTS):
            await house.embed(f"text {number}")
        after, took_s = await redis.info("stats"), asyncio.get_running_loop().time() - began_s
    reads = after["total_reads_processed"] - before["total_reads_processed"]
    assert reads <= REQUESTS * READS_MAX + (0.5 + took_s) * BESIDES_PER_S
