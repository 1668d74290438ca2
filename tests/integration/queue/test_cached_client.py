"""The result cache in front of the queue: the same answers, fewer calls, and never another question's answer."""

import asyncio

import pytest
from redis.asyncio import Redis

from autobatch_shared.contract.keys import Keys
from tests.support.fake_upstream import FakeUpstream, Gate, vector
from tests.support.house import House, ready_house
from tests.support.servers.leaks import keys_without_ttl
from tests.support.waiting import wait_until

KEYS = Keys("house")
CACHE = {"cache_ttl_s": 60}


async def stored(redis_url: str) -> int:
    async with Redis.from_url(redis_url) as redis:
        return int(await redis.zcard(KEYS.cache_index))


async def has_stored(redis_url: str, rows: int) -> bool:
    return await stored(redis_url) == rows


async def knows_the_model(house: House) -> bool:
    """Only then is anything looked up."""
    async with house.http.get(f"{house.url}/info") as answer:
        return answer.status == 200


async def counted(house: House, name: str) -> float:
    lines = (await house.metrics()).splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"autobatch_{name}_total ")))


async def test_what_was_asked_before_costs_no_call(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy=CACHE) as house:
        await wait_until(lambda: knows_the_model(house))
        first = await house.embed("hello")
        await wait_until(lambda: has_stored(redis_url, 1))
        assert (200, [vector("hello")]) == first == await house.embed("hello")
        assert [["hello"]] == upstream.calls
        assert (1, 1) == (await counted(house, "cache_hits"), await counted(house, "cache_misses"))
    assert await keys_without_ttl(redis_url) == []


async def test_of_a_list_only_the_unknown_is_asked_for(redis_url: str, upstream: FakeUpstream) -> None:
    texts = [f"text {number} ".ljust(10 + 90 * (number % 5), "x") for number in range(20)]
    async with ready_house(redis_url, upstream.url, proxy=CACHE) as house:
        await wait_until(lambda: knows_the_model(house))
        await house.embed(texts[3:9])
        await wait_until(lambda: has_stored(redis_url, 6))
        upstream.calls.clear()
        assert (200, [vector(text) for text in texts]) == await house.embed(texts)
    assert sorted(texts[:3] + texts[9:]) == sorted(text for call in upstream.calls for text in call)


async def test_other_options_are_another_question(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy=CACHE) as house:
        await wait_until(lambda: knows_the_model(house))
        await house.embed("hello")
        await wait_until(lambda: has_stored(redis_url, 1))
        await house.embed("hello", normalize=False)
        await house.embed("hello", prompt_name="query")
        await wait_until(lambda: has_stored(redis_url, 3))
    assert [True, False, True] == [body.get("normalize", True) for body in upstream.bodies]


async def test_without_a_named_model_nothing_is_kept(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = None
    async with ready_house(redis_url, upstream.url, proxy=CACHE) as house:
        assert [(200, [vector("hello")])] * 2 == [await house.embed("hello"), await house.embed("hello")]
        assert await counted(house, "cache_bypasses") == 2
    assert [["hello"], ["hello"]] == upstream.calls
    assert await stored(redis_url) == 0


async def test_errors_are_not_kept(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy=CACHE) as house:
        await wait_until(lambda: knows_the_model(house))
        statuses = [(await house.embed("poison"))[0] for _ in range(2)]
        assert (await house.embed(["good", "poison"]))[0] == 422
    assert [422, 422] == statuses
    assert await stored(redis_url) == 0


async def test_it_is_off_unless_asked_for(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed("hello")
        await house.embed("hello")
    assert [["hello"], ["hello"]] == upstream.calls


@pytest.mark.parametrize("cache", [{}, CACHE], ids=["without cache", "with cache"])
async def test_identical_inputs_that_wait_together_are_computed_once(
    redis_url: str, upstream: FakeUpstream, cache: dict[str, int]
) -> None:
    """And every client gets its answer."""
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url, proxy=cache, max_concurrent_batches=1) as house:
        ahead = asyncio.create_task(house.embed("ahead"))
        await wait_until(lambda: upstream.calls)
        asking = asyncio.create_task(house.embed_each(["same", "other"] * 50))
        await wait_until(lambda: waiting(house, 101))
        gate.opened.set()
        assert (200, [vector("ahead")]) == await ahead
        assert [(200, [vector("same")]), (200, [vector("other")])] * 50 == await asking
    assert ["ahead"] == upstream.calls[0]
    assert len(upstream.calls) <= 10
    assert all(len(call) == len(set(call)) for call in upstream.calls)


async def waiting(house: House, inputs: int) -> bool:
    return f"autobatch_in_flight_inputs {inputs}.0" in await house.metrics()
