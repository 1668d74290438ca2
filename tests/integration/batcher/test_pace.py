"""What the upstream did a moment ago costs nobody an answer that it could give now."""

import asyncio

from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import ready_house

SLOW_S, SHORT_MS = 0.8, "600"
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
