"""What a worker holds of a request is freed when the request ends, whatever its end, and not when garbage is collected."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest

from autobatch_proxy.queue.in_flight import WaitingRequest
from tests.support.fake_upstream import FakeUpstream, Gate
from tests.support.house import House, ready_house
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def nothing_is_held() -> bool:
    return not any(type(each) is WaitingRequest for each in gc.get_objects())


async def expires(house: House) -> None:
    answer = await house.post("/embed", {"inputs": ["late"] * 40}, x_request_timeout_ms="50")
    assert answer.status == 504


async def disconnects(house: House) -> None:
    request = asyncio.create_task(house.embed("impatient"))
    await wait_until(lambda: house.holds(1))
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)


@pytest.mark.parametrize("end", [expires, disconnects])
async def test_a_request_that_got_no_reply_is_freed_at_its_end(
    redis_url: str, upstream: FakeUpstream, end: Callable[[House], Awaitable[None]]
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        upstream.behave = gate = Gate()
        for _ in range(3):
            await end(house)
        await wait_until(nothing_is_held)
        gate.opened.set()
