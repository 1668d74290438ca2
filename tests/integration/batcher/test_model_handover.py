"""The end of a batcher hands the namespace to no neighbour with another model before its time."""

from collections.abc import AsyncIterator

import pytest
from orjson import loads
from redis.asyncio import Redis

from autobatch_shared.contract.keys import Keys
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import open_house
from tests.support.waiting import wait_until

KEYS = Keys("house")
OTHER_MODEL = {"model_id": "other", "max_client_batch_size": 32, "max_concurrent_requests": 512}


@pytest.fixture
async def other() -> AsyncIterator[FakeUpstream]:
    """A second upstream, of another model."""
    started = FakeUpstream(info=OTHER_MODEL)
    await started.start()
    yield started
    await started.stop()


@pytest.mark.usefixtures("_quick_probes")
async def test_the_last_batcher_of_a_model_that_ends_takes_it_along_only_after_a_while(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    async with open_house(redis_url) as house, Redis.from_url(redis_url) as redis:

        async def recorded() -> str:
            return str(loads(await redis.get(KEYS.model) or "{}").get("name"))

        async def is_recorded(name: str) -> bool:
            return await recorded() == name

        first = await house.add_batcher(upstream.url)
        await wait_until(lambda: is_recorded("fake"))
        await house.add_batcher(other.url)
        await wait_until(lambda: _reports(redis, 2))
        await first.stop()
        asked = other.info_asked
        await wait_until(lambda: other.info_asked > asked + 3)  # it looks after each probe
        assert await recorded() == "fake"

        await redis.set(KEYS.model_counted, 1, px=60_000)
        await wait_until(lambda: is_recorded("other"))
        assert (await house.embed("one"))[0] == 200


async def _reports(redis: Redis, count: int) -> bool:
    return int(await redis.hlen(KEYS.batchers)) == count
