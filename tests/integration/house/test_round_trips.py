"""What requests that come alone cost Redis."""

from redis.asyncio import Redis

from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house

REQUESTS = 100
READS_MAX = 4.5  # a request; beats, reports and looks that fall into the moment are half of one


async def test_requests_one_after_the_other_cost_few_round_trips(redis_url: str, upstream: FakeUpstream) -> None:
    """A message each: the push, the watch with its claim, the reply, the inbox with its reply."""
    async with ready_house(redis_url, upstream.url) as house, Redis.from_url(redis_url) as redis:
        for number in range(10):  # until it is known that they come alone
            await house.embed(f"before {number}")
        before = await redis.info("stats")
        for number in range(REQUESTS):
            await house.embed(f"text {number}")
        after = await redis.info("stats")
    assert after["total_reads_processed"] - before["total_reads_processed"] <= REQUESTS * READS_MAX
