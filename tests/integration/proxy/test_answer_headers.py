"""What an answer's headers say of the calls that made it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.clerk import Clerk, open_clerk
from tests.support.house import House, open_house


@pytest.fixture
async def clerk(redis_url: str) -> AsyncIterator[Clerk]:
    async with open_clerk(redis_url) as clerk:
        yield clerk


async def asked(house: House, inputs: object) -> tuple[int, str | None, str | None]:
    """Status, server-timing and x-batch-size."""
    async with house.http.post(f"{house.url}/embed", json={"inputs": inputs}) as answer:
        return answer.status, answer.headers.get("server-timing"), answer.headers.get("x-batch-size")


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({}, 200),
        ({"body": b'{"error":"no","error_type":"Validation"}', "status": 422}, 422),
        ({"body": b"busy", "status": 0, "fault": "upstream_overloaded"}, 429),
        ({"body": b"slow", "status": 0, "fault": "upstream_timeout"}, 504),
    ],
)
async def test_an_answer_says_where_its_time_went(
    redis_url: str, clerk: Clerk, reply: dict[str, Any], status: int
) -> None:
    """Also when it is an error."""
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(asked(house, "hello"))
        (job,) = await clerk.claim(1)
        await clerk.reply(job, queue_us=1234, upstream_us=4321, batch=17, **reply)
        assert await asking == (status, "queue;dur=1.2, upstream;dur=4.3", "17")


async def test_an_answer_of_no_call_says_nothing(redis_url: str, clerk: Clerk) -> None:
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(asked(house, "hello"))
        (job,) = await clerk.claim(1)
        await clerk.reply(job, queue_us=1234)
        assert await asking == (200, None, None)


async def test_a_refusal_keeps_its_headers(redis_url: str, clerk: Clerk) -> None:
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(house.http.post(f"{house.url}/embed", json={"inputs": "hello"}))
        (job,) = await clerk.claim(1)
        await clerk.reply(job, b"away", 0, fault="upstream_unavailable", upstream_us=500, batch=1)
        async with await asking as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Server-Timing"] == "queue;dur=0.0, upstream;dur=0.5"


async def test_of_several_jobs_the_slowest_parts_and_the_largest_batch_are_told(redis_url: str, clerk: Clerk) -> None:
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(asked(house, ["a", "b" * 300]))
        short, long = await clerk.claim(2)
        await clerk.reply(short, queue_us=9000, upstream_us=2000, batch=32)
        await clerk.reply(long, queue_us=1000, upstream_us=7000, batch=3)
        assert await asking == (200, "queue;dur=9.0, upstream;dur=7.0", "32")


async def test_an_answer_that_cannot_be_put_together_says_it_too(redis_url: str, clerk: Clerk) -> None:
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(asked(house, ["a", "b" * 300]))
        short, long = await clerk.claim(2)
        await clerk.reply(short, b"[]", batch=1)
        await clerk.reply(long, batch=1)
        assert await asking == (502, "queue;dur=0.0, upstream;dur=0.0", "1")
