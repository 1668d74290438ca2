"""No more is sent than the upstream takes, and nothing is given up for what it did a moment ago."""

import asyncio
from functools import partial

import pytest
from redis.asyncio import Redis

from autobatch_batcher.tuning import duty
from autobatch_shared.contract.status import decoded
from tests.support.clerk import open_clerk
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import open_house, ready_house
from tests.support.waiting import wait_until

SLOW_S, SHORT_MS = 4.0, "3500"
CALLS = 18


async def test_an_upstream_that_was_slow_answers_short_deadlines_once_it_is_fast(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """Only a call can show what a call takes now: so a memory of slow ones may not keep every call from being made."""

    async def slow(_texts: list[str]) -> None:
        await asyncio.sleep(SLOW_S)

    async with ready_house(redis_url, upstream.url, max_batch_size=1, max_concurrent_batches=CALLS) as house:
        upstream.behave = slow
        assert [200] * CALLS == [status for status, _ in await house.embed_each([f"slow {n}" for n in range(CALLS)])]
        upstream.behave = None
        texts = [f"fast {number}" for number in range(37)]
        headers = {"x-request-timeout-ms": SHORT_MS}

        one_by_one = [await house.embed(text, headers) for text in texts[:3]]
        at_once = await asyncio.gather(*(house.embed(text, headers) for text in texts[3:]))

    assert [(200, [vector(text)]) for text in texts] == [*one_by_one, *at_once]


async def serves(_texts: list[str]) -> None:
    await asyncio.sleep(0.02)


async def one_is_on_duty(redis: Redis, batchers: int) -> bool:
    found = await redis.hgetall("{house}:batchers")
    reports = [each for each in decoded([each for each in found.values() if isinstance(each, bytes)]) if each.upstreams]
    on_duty = [each for each in reports if each.upstreams[0].may_be_called and each.upstreams[0].is_on_duty]
    return batchers == len(reports) and 1 == len(on_duty)


async def have_leases(redis: Redis, batchers: int) -> bool:
    return batchers == await redis.zcard("{house}:leases")


@pytest.mark.parametrize(("batchers", "list_inputs"), [(1, 1), (2, 1), (4, 1), (2, 50), (4, 50)])
async def test_batchers_share_what_the_upstream_takes_at_once(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, batchers: int, list_inputs: int
) -> None:
    """TEI has a permit for each input in flight, and answers 429 without one."""
    monkeypatch.setattr(duty, "LATE_MS", 60_000)  # the permits of one that is missed are taken while it may still call
    upstream.info = {"model_id": "fake", "max_client_batch_size": 32, "max_concurrent_requests": 64}
    upstream.behave = serves
    async with open_clerk(redis_url), open_house(redis_url) as house, Redis.from_url(redis_url) as redis:
        for _ in range(batchers):
            await house.add_batcher(upstream.url, upstream_attempts=1)
        await wait_until(partial(have_leases, redis, batchers))
        await wait_until(partial(one_is_on_duty, redis, batchers))
        upstream.overloads = 0
        texts = [[f"{number} {place}" for place in range(list_inputs)] for number in range(600 // list_inputs)]
        answers = await asyncio.gather(*(house.embed(each) for each in texts))

    assert [200] * len(texts) == [status for status, _ in answers]
    assert 0 == upstream.overloads
    assert upstream.in_flight_max <= 64
