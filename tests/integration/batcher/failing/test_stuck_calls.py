"""An input that the upstream never answers, while it answers others, keeps nobody else waiting."""

import asyncio

from aiohttp import web

from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import open_house, ready_house
from tests.support.waiting import wait_until

IMPATIENT_MS = "6000"
KNOWN_CALLS = 6  # until it shows what a call takes


async def never_answers_some(texts: list[str]) -> web.StreamResponse | None:
    if any(text.startswith("endless") for text in texts):
        await asyncio.Event().wait()
    return None


async def test_neighbours_of_an_endless_input_are_answered(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.behave = never_answers_some
    async with ready_house(redis_url, upstream.url) as house:
        for number in range(KNOWN_CALLS):
            await house.embed(f"before {number}")
        good = [f"good {number}" for number in range(12)]
        asked = asyncio.gather(
            *[house.post("/embed", {"inputs": text}, x_request_timeout_ms=IMPATIENT_MS) for text in good[:6]]
        )
        endless = asyncio.create_task(house.post("/embed", {"inputs": "endless"}, x_request_timeout_ms=IMPATIENT_MS))
        rest = await asyncio.gather(
            *[house.post("/embed", {"inputs": text}, x_request_timeout_ms=IMPATIENT_MS) for text in good[6:]]
        )
        answers = [*await asked, *rest]

        assert [(200, [vector(text)]) for text in good] == [(each.status, each.json) for each in answers]
        assert (await endless).status == 504


async def test_an_endless_input_holds_no_place_of_others(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.behave = never_answers_some
    async with open_house(redis_url) as house:
        await house.add_batcher(upstream.url, max_concurrent_batches=1)
        await wait_until(house.is_healthy)
        for number in range(KNOWN_CALLS):
            await house.embed(f"before {number}")
        endless = asyncio.create_task(house.post("/embed", {"inputs": "endless"}, x_request_timeout_ms=IMPATIENT_MS))
        await wait_until(lambda: ["endless"] in upstream.calls)

        assert (200, [vector("good")]) == await house.embed("good")
        assert not endless.done()
        assert (await endless).status == 504
