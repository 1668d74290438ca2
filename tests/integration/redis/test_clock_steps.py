"""Redis's clock steps by an hour: no request costs more than one round more, and no work is done twice by all."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis

from tests.support.fake_upstream import FakeUpstream, Gate, vector
from tests.support.house import ready_house
from tests.support.servers.redis_server import RedisServer
from tests.support.servers.stepped_clock import COMPILER, SteppedClock
from tests.support.waiting import wait_until

HOUR_S = 3600
TEXTS = [f"text {number}" for number in range(60)]

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


class SteppedRedis(RedisServer):
    """A server with a clock of its own, not started yet."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppedClock(folder)
        super().__init__(folder, self.clock.variables)


@pytest.fixture
def stepped_redis() -> Iterator[SteppedRedis]:
    with TemporaryDirectory(prefix="ab-") as folder:
        server = SteppedRedis(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.mark.parametrize("before_s", [0, HOUR_S])
async def test_requests_in_flight_at_a_step_of_the_clock_are_answered(
    stepped_redis: SteppedRedis, upstream: FakeUpstream, before_s: int
) -> None:
    """Some are in a call, some are held by a batcher, some wait in the queue. And those that come next."""
    stepped_redis.clock.step(before_s)
    gate = Gate()
    upstream.behave = gate
    async with (
        Redis.from_url(stepped_redis.url) as redis,
        ready_house(stepped_redis.url, upstream.url, max_concurrent_batches=1) as house,
    ):
        before = (await redis.time())[0]

        async def has_stepped() -> bool:
            return abs((await redis.time())[0] - before) > HOUR_S / 2

        asking = asyncio.create_task(house.embed_each(TEXTS))
        await wait_until(lambda: house.holds(len(TEXTS)))
        await wait_until(lambda: upstream.calls)
        stepped_redis.clock.step(HOUR_S - before_s)
        await wait_until(has_stepped)
        later = asyncio.create_task(house.embed_each([f"later {text}" for text in TEXTS]))
        await wait_until(lambda: house.holds(2 * len(TEXTS)))
        upstream.behave = None
        gate.opened.set()
        assert [(200, [vector(text)]) for text in TEXTS] == await asking
        assert [(200, [vector(f"later {text}")]) for text in TEXTS] == await later
    computed = [text for call in upstream.calls for text in call]
    assert max(computed.count(text) for text in computed) <= 2
