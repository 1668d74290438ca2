"""What one request alone costs Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from tests.support.fake_upstream import FakeUpstream
from tests.support.house import ready_house

REQUESTS = 50
BESIDES = 10  # commands of beats, reports and looks that fall into the moment


@dataclass
class Cost:
    """What some requests cost, filled in when they are over.

    Attributes:
        reads: Messages of our processes: each is one wake-up of Redis.
        commands: Calls of each command, those of scripts included.
    """

    reads: int = 0
    commands: dict[str, int] | None = None


@asynccontextmanager
async def counted(redis: Redis) -> AsyncIterator[Cost]:
    cost = Cost()
    before = await redis.info()
    yield cost
    cost.reads = (await redis.info())["total_reads_processed"] - before["total_reads_processed"]


async def test_requests_one_after_the_other_cost_few_round_trips(redis_url: str, upstream: FakeUpstream) -> None:
    """One each for the push, the watch with its claim, the reply, the inbox, the reading of the reply and its deletion."""
    async with ready_house(redis_url, upstream.url) as house, Redis.from_url(redis_url) as redis:
        for number in range(10):  # until it is known that they come alone
            await house.embed(f"before {number}")
        async with counted(redis) as cost:
            for number in range(REQUESTS):
                await house.embed(f"text {number}")
    assert cost.reads / REQUESTS <= 6 + BESIDES / REQUESTS
