"""What a worker holds of a request is freed when the request ends, whatever its end, and not when garbage is collected."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest

from autobatch_proxy.queue.client import QueueClient
from autobatch_proxy.queue.in_flight import WaitingRequest
from autobatch_proxy.requests.plan import Plan
from tests.support.fake_upstream import FakeUpstream, Gate
from tests.support.house import House, ready_house
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def nothing_is_held(kind: type = WaitingRequest) -> bool:
    return not any(type(each) is kind for each in gc.get_objects())


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


async def test_a_request_that_met_a_fault_of_ours_is_freed_at_its_end(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "autobatch_proxy")  # pytest would keep what was logged, with all frames

    async def fails(_client: QueueClient, _plan: Plan, _left_s: float) -> None:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(RuntimeError("unforeseen"))  # what a frame holds that the error holds
        await failed

    async with ready_house(redis_url, upstream.url) as house:
        monkeypatch.setattr(QueueClient, "ask", fails)
        status, _ = await house.embed("text")
        assert status == 500
        await wait_until(lambda: nothing_is_held(Plan))
