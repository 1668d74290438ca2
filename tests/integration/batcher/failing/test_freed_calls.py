"""What a batcher holds of a call is freed when it ends, however it fails, and not when garbage is collected."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest
from aiohttp import web

from autobatch_batcher.upstreams.slots import Slot
from autobatch_shared.contract.errors import UpstreamError
from tests.support.fake_upstream import JSON, FakeUpstream, tei_error, vector
from tests.support.house import ready_house
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def hangs_up(_texts: list[str]) -> web.StreamResponse:
    raise asyncio.CancelledError  # the connection ends without an answer


async def fails(_texts: list[str]) -> web.StreamResponse:
    return tei_error(500, "out of range", "Backend")


async def refuses(_texts: list[str]) -> web.StreamResponse:
    return tei_error(413, "too long", "Validation")


async def is_no_number(_texts: list[str]) -> web.StreamResponse:
    return web.Response(body=b"[[NaN]]", headers=JSON)


async def has_a_row_more(texts: list[str]) -> web.StreamResponse:
    return web.json_response([vector(text) for text in [*texts, "more"]])


def nothing_is_held() -> bool:
    return not any(isinstance(each, (Slot, UpstreamError)) for each in gc.get_objects())


@pytest.mark.parametrize("fail", [fails, refuses, is_no_number, has_a_row_more, hangs_up])
async def test_a_call_that_failed_is_freed_at_its_end(
    redis_url: str,
    upstream: FakeUpstream,
    fail: Callable[[list[str]], Awaitable[web.StreamResponse]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "autobatch_batcher")  # pytest would keep what was logged

    async def behave(texts: list[str]) -> web.StreamResponse | None:
        return await fail(texts) if any(text.startswith("bad") for text in texts) else None

    upstream.behave = behave
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed_each([f"{kind} {number}" for number in range(12) for kind in ("good", "bad")])
        await wait_until(nothing_is_held)
