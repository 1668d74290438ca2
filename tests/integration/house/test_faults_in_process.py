"""Upstream and Redis misbehave: clear errors in time, the right one for each, and recovery without a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import cast

import pytest
from aiohttp import web
from redis.asyncio import Redis

from autobatch_batcher.claiming import lease
from autobatch_bench.checking.oracle import answer, row
from autobatch_proxy.queue import fleet_watcher
from autobatch_shared.contract.errors import MalformedFrame
from autobatch_shared.contract.frames import JobHeader, decode_reply, encode
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from tests.support.clerk import open_clerk
from tests.support.fake_upstream import FakeUpstream, Gate, tei_error, vector
from tests.support.house import House, left_house, open_house, ready_house
from tests.support.servers.leaks import keys_left
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

KEYS = Keys("house")

Answering = Callable[[list[str]], web.Response]


def always(make: Answering) -> Callable[[list[str]], Awaitable[web.StreamResponse]]:
    async def behave(texts: list[str]) -> web.StreamResponse:
        return make(texts)

    return behave


def body(content: bytes, content_type: str = "application/json") -> Answering:
    return lambda _texts: web.Response(body=content, headers={"Content-Type": content_type})


NONSENSE: dict[str, Answering] = {
    "html": body(b"<html>welcome</html>", "text/html"),
    "nothing": body(b""),
    "an empty list": body(b"[]"),
    "an object": body(b'{"embedding":[1.0]}'),
    "a string": body(b'"error"'),
    "too few rows": lambda texts: body(answer(texts[1:]))(texts),
    "too many rows": lambda texts: body(answer([*texts, "more"]))(texts),
    "rows of unequal length": lambda texts: body(b"[%b,[1.0]]" % b",".join(map(row, texts[1:])))(texts),
    "cut in the middle": lambda texts: body(answer(texts)[:-100])(texts),
    "rows that are no rows": lambda texts: body(b"[%b]" % b",".join(b"1.0" for _ in texts))(texts),
    "rows of words": lambda texts: body(b"[%b]" % b",".join(b'["a"]' for _ in texts))(texts),
    "rows of rows": lambda texts: body(b"[%b]" % b",".join(b"[[1.0]]" for _ in texts))(texts),
    "unauthorized": lambda _texts: web.Response(status=401),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_from_the_upstream_is_never_a_success(redis_url: str, upstream: FakeUpstream, name: str) -> None:
    upstream.behave = always(NONSENSE[name])
    async with ready_house(redis_url, upstream.url, batch_policy="full", max_wait_time_ms=30) as house:
        for status, error in await house.embed_each(["one", "two", "three"]):
            assert (status, error["error_type"]) == (502, "Backend")
        upstream.behave = None
        assert await house.embed("four") == (200, [vector("four")])
    assert await keys_left(redis_url) == []


async def test_an_upstream_that_is_down_gives_503_and_comes_back(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, upstream_patience_ms=100) as house:
        await upstream.stop()
        for status, error in await house.embed_each(["one", "two"]):
            assert (status, error["error_type"]) == (503, "Unhealthy")
        await wait_until(lambda: is_unhealthy(house))
        await upstream.start()
        await wait_until(house.is_healthy)
        assert await house.embed("three") == (200, [vector("three")])


async def is_unhealthy(house: House) -> bool:
    return not await house.is_healthy()


async def test_an_upstream_that_restarts_quickly_is_not_noticed(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, upstream_attempts=10) as house:
        await upstream.stop()
        asking = asyncio.create_task(house.embed("hello"))
        await wait_until(lambda: is_unhealthy(house))
        await upstream.start()
        assert await asking == (200, [vector("hello")])


async def test_a_retry_goes_to_the_other_replica(redis_url: str, upstream: FakeUpstream) -> None:
    other = FakeUpstream()
    await other.start()
    try:
        async with ready_house(redis_url, f"{upstream.url},{other.url}/") as house:
            await wait_until(lambda: house.embed("warm"))
            await upstream.stop()
            answers = await house.embed_each([f"text {number}" for number in range(40)])
            assert [(200, [vector(f"text {number}")]) for number in range(40)] == answers
    finally:
        await other.stop()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(503, (503, "Unhealthy")), (502, (503, "Unhealthy"))],
)
async def test_an_outage_that_lasts_is_told_as_what_it_is(
    redis_url: str, upstream: FakeUpstream, status: int, expected: tuple[int, str]
) -> None:
    upstream.behave = always(lambda _texts: tei_error(status, "text of somebody else", "Backend"))
    async with ready_house(redis_url, upstream.url, upstream_patience_ms=0) as house:
        async with house.http.post(f"{house.url}/embed", json={"inputs": "hello"}) as reply:
            error = await reply.json()
            assert (reply.status, error["error_type"]) == expected
            assert "somebody" not in error["error"]
            assert reply.headers["Retry-After"] == "1"
    assert len(upstream.calls) == 2


async def test_an_upstream_that_is_overloaded_to_the_end_is_told_as_that(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """Some hundredths of a second before the request's own deadline, which a busy machine may miss and tell as 504."""
    overloaded = (429, {"error": "Model is overloaded", "error_type": "Overloaded"})
    upstream.behave = always(lambda _texts: tei_error(429, "text of somebody else", "Overloaded"))
    async with ready_house(redis_url, upstream.url) as house:
        late = (504, {"error": "The request's deadline expired before its answer came", "error_type": "Backend"})

        async def is_told() -> bool:
            upstream.calls.clear()
            answer = await house.embed("hello", headers={"x-request-timeout-ms": "400"})
            assert answer in (overloaded, late)
            assert len(upstream.calls) < 10
            return answer == overloaded

        await wait_until(is_told)


async def test_what_an_overloaded_upstream_refuses_is_answered_later_and_spends_no_attempts(
    redis_url: str, upstream: FakeUpstream
) -> None:
    refusals = iter(range(5))

    async def refuses_at_first(_texts: list[str]) -> web.StreamResponse | None:
        return None if next(refusals, None) is None else tei_error(429, "Model is overloaded", "Overloaded")

    upstream.behave = refuses_at_first
    texts = [f"text {number}" for number in range(64)]
    async with ready_house(redis_url, upstream.url, upstream_attempts=1) as house:
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)


async def test_an_input_on_which_the_model_fails_fails_alone(redis_url: str, upstream: FakeUpstream) -> None:
    """TEI answers 424 to a whole batch; sent one by one, only the bad one gets it."""

    async def fails_on_some(texts: list[str]) -> web.Response | None:
        if "killer" in texts:
            return tei_error(424, "Backend error: killer", "Backend")
        return None

    upstream.behave = fails_on_some
    texts = ["one", "killer", "three"]
    async with ready_house(redis_url, upstream.url, batch_policy="full", max_wait_time_ms=50) as house:
        answers = await house.embed_each(texts)
    error = {"error": "Backend error: killer", "error_type": "Backend"}
    assert answers == [(200, [vector("one")]), (424, error), (200, [vector("three")])]


async def test_a_slow_upstream_is_given_up_in_time(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.behave = Gate()
    async with ready_house(redis_url, upstream.url, upstream_timeout_ms=100) as house:
        status, error = await house.embed("hello")
        assert (status, error["error_type"]) == (504, "Backend")
        upstream.behave = None

        async def is_answered() -> bool:  # within a tenth of a second, which a busy machine may miss
            return await house.embed("again") == (200, [vector("again")])

        await wait_until(is_answered)


async def test_a_deadline_that_the_client_sets_is_kept(redis_url: str, upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        patient = asyncio.create_task(house.embed("patient"))
        await wait_until(lambda: upstream.calls)
        status, error = await house.embed("hurried", headers={"x-request-timeout-ms": "50"})
        assert (status, error) == (
            504,
            {"error": "The request's deadline expired before its answer came", "error_type": "Backend"},
        )
        gate.opened.set()
        assert await patient == (200, [vector("patient")])
        assert await house.embed("after") == (200, [vector("after")])
    assert ["hurried"] not in upstream.calls


async def test_a_job_whose_time_ends_in_a_lane_is_not_sent(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, batch_policy="full", max_wait_time_ms=300) as house:
        status, _ = await house.embed("hurried", headers={"x-request-timeout-ms": "50"})
        assert status == 504
        assert await house.embed("after") == (200, [vector("after")])
    assert upstream.calls == [["after"]]


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1.5", "", "9" * 5000])
async def test_a_deadline_that_is_no_number_is_refused(redis_url: str, upstream: FakeUpstream, value: str) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        status, error = await house.embed("hello", headers={"x-request-timeout-ms": value})
    assert (status, error["error_type"]) == (422, "Validation")
    assert "x-request-timeout-ms" in error["error"]


async def test_a_full_queue_refuses_at_once(redis_url: str, upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url, proxy={"max_queue_size": 5}, max_concurrent_batches=1) as house:
        waiting = [asyncio.create_task(house.embed(f"text {number}")) for number in range(5)]
        await wait_until(lambda: in_flight(house, 5))
        async with house.http.post(f"{house.url}/embed", json={"inputs": "too much"}) as reply:
            assert reply.status == 429
            assert int(reply.headers["Retry-After"]) > 0
            assert await reply.json() == {"error": "Model is overloaded", "error_type": "Overloaded"}
        gate.opened.set()
        assert [(200, [vector(f"text {number}")]) for number in range(5)] == await asyncio.gather(*waiting)


async def in_flight(house: House, inputs: int) -> bool:
    return f"autobatch_in_flight_inputs {inputs}.0" in await house.metrics()


async def test_the_queue_is_bounded_for_all_workers_together(redis_url: str) -> None:
    async with (
        open_clerk(redis_url) as clerk,
        open_house(redis_url, max_queue_size=3) as one,
        open_house(redis_url, max_queue_size=3) as other,
    ):
        first = asyncio.create_task(one.embed(["a", "b"]))
        await wait_until(lambda: in_flight(one, 2))
        await wait_until(lambda: keys_left(redis_url))
        assert (await other.embed(["c", "d"]))[0] == 429
        await clerk.reply_all(await clerk.claim(1))
        assert await first == (200, [vector("a"), vector("b")])


NO_BATCHER = (
    "No batcher is running: start one with `autobatch batcher`, with the REDIS_URL and NAMESPACE of the workers"
)


async def test_where_no_batcher_was_ever_seen_requests_are_refused_at_once(redis_url: str) -> None:
    """Also those that came before the worker looked."""
    async with open_house(redis_url, request_timeout_ms=60_000) as house:
        answers = await house.embed_each(["first", "second"])
    assert [(503, {"error": NO_BATCHER, "error_type": "Unhealthy"})] * 2 == answers


async def test_without_a_batcher_requests_wait_a_moment_and_then_are_refused_at_once(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in the shape of its route, and those that waited already a little later."""
    missing = (503, {"error": NO_BATCHER, "error_type": "Unhealthy"})
    async with left_house(redis_url, upstream.url, request_timeout_ms=60_000) as house:
        first = asyncio.create_task(house.embed("first"))
        await wait_until(lambda: house.holds(1))
        monkeypatch.setattr(fleet_watcher, "ABSENT_AFTER_S", 1.5)  # not before it waits, which may take its time
        monkeypatch.setattr(fleet_watcher, "GONE_AFTER_S", 3.0)

        async def is_refused() -> bool:
            return await house.embed("hello", {"x-request-timeout-ms": "50"}) == missing

        await wait_until(is_refused)
        assert missing == await house.embed("at once")
        reply = await house.post("/v1/embeddings", {"input": "at once", "model": "any"})
        assert (503, NO_BATCHER) == (reply.status, reply.json["error"]["message"])
        assert missing == await first
        monkeypatch.undo()
        await house.add_batcher(upstream.url)
        await wait_until(house.is_healthy)
        assert await house.embed("hello") == (200, [vector("hello")])


async def test_a_batcher_that_is_back_soon_is_not_missed(redis_url: str, upstream: FakeUpstream) -> None:
    async with open_house(redis_url) as house:
        batcher = await house.add_batcher(upstream.url)
        await wait_until(house.is_healthy)
        await batcher.stop()
        await wait_until(lambda: is_unhealthy(house))
        asking = asyncio.create_task(house.embed("hello"))
        await wait_until(lambda: house.holds(1))
        await house.add_batcher(upstream.url)
        assert await asking == (200, [vector("hello")])


async def test_a_batcher_that_stops_finishes_what_it_has(redis_url: str, upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.behave = gate
    async with open_house(redis_url) as house:
        batcher = await house.add_batcher(upstream.url, batch_policy="full", max_wait_time_ms=100)
        await wait_until(house.is_healthy)
        asking = asyncio.create_task(house.embed_each(["one", "two"]))
        await wait_until(lambda: upstream.calls)
        stopping = asyncio.create_task(batcher.stop())
        gate.opened.set()
        assert await asking == [(200, [vector("one")]), (200, [vector("two")])]
        await stopping
        await wait_until(lambda: is_unhealthy(house))


async def test_a_batcher_that_has_nothing_to_do_stops_at_once_however_seldom_it_renews_its_lease(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_MAX_S", 1000.0)
    async with open_house(redis_url) as house:
        batcher = await house.add_batcher(upstream.url, lease_ms=4_000_000, drain_timeout_ms=1_000_000)
        await wait_until(house.is_healthy)
        assert await house.embed("hello") == (200, [vector("hello")])
        async with asyncio.timeout(60):
            await batcher.stop()


async def test_what_a_drain_cannot_finish_goes_to_the_others(redis_url: str, upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.behave = gate
    async with open_house(redis_url) as house:
        batcher = await house.add_batcher(upstream.url, drain_timeout_ms=50)
        await wait_until(house.is_healthy)
        asking = asyncio.create_task(house.embed("hello"))
        await wait_until(lambda: upstream.calls)
        await batcher.stop()
        upstream.behave = None
        await house.add_batcher(upstream.url)
        assert await asking == (200, [vector("hello")])
        gate.opened.set()


async def test_redis_away_is_503_and_comes_back_without_a_restart(
    own_redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with open_house(own_redis.url) as house:
        await house.add_batcher(upstream.url)
        status, error = await house.embed("nobody there yet")
        assert (status, error["error_type"]) == (503, "Unhealthy")
        assert await is_unhealthy(house)
        own_redis.start()
        await wait_until(house.is_healthy)
        assert await house.embed("hello") == (200, [vector("hello")])
        own_redis.kill()
        await wait_until(lambda: is_unhealthy(house))
        assert (await house.embed("gone"))[0] == 503
        own_redis.start()
        await wait_until(house.is_healthy)
        assert await house.embed("back") == (200, [vector("back")])


@pytest.mark.usefixtures("_patient_workers")
async def test_requests_in_flight_when_redis_loses_its_data_are_asked_again(
    own_redis: RedisServer, upstream: FakeUpstream
) -> None:
    own_redis.start()
    gate = Gate()
    upstream.behave = gate
    async with ready_house(own_redis.url, upstream.url) as house:
        asking = asyncio.create_task(house.embed("hello"))
        await wait_until(lambda: upstream.calls)
        own_redis.kill()
        own_redis.start()
        upstream.behave = None
        assert await asking == (200, [vector("hello")])
        gate.opened.set()
        assert await house.embed("after") == (200, [vector("after")])


async def test_requests_in_flight_when_redis_stays_away_get_503(own_redis: RedisServer, upstream: FakeUpstream) -> None:
    own_redis.start()
    gate = Gate()
    upstream.behave = gate
    async with ready_house(own_redis.url, upstream.url, drain_timeout_ms=100) as house:
        asking = asyncio.create_task(house.embed("hello"))
        await wait_until(lambda: upstream.calls)
        own_redis.kill()
        assert (await asking)[0] == 503
        gate.opened.set()


async def test_a_cut_connection_loses_no_request_in_flight(redis_url: str, upstream: FakeUpstream) -> None:
    """The data is still there: replies that arrived meanwhile are fetched by name."""
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url) as house:
        asking = asyncio.create_task(house.embed("hello"))
        await wait_until(lambda: upstream.calls)
        async with Redis.from_url(redis_url) as redis:
            await redis.client_kill_filter(_type="normal", skipme=True)
        gate.opened.set()
        assert await asking == (200, [vector("hello")])


async def test_a_broken_frame_is_answered_at_once_as_such_and_the_others_are_answered(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with open_house(redis_url) as house, Redis.from_url(redis_url) as redis:
        flipped = encode(JobHeader("w1.1", 1, 1, 4_000_000_000_000, "/embed"), b'["a"]').replace(b'["a"]', b'["b"]')
        await redis.rpush("{house}:jobs", flipped)
        await house.add_batcher(upstream.url)
        await wait_until(house.is_healthy)
        assert await house.embed("hello") == (200, [vector("hello")])
        assert (KEYS.inbox("w1").encode(), b"w1.1") == await redis.blpop([KEYS.inbox("w1")], timeout=10)
        reply, said = decode_reply(cast("bytes", await redis.getdel(KEYS.reply("w1.1"))))
        assert (MalformedFrame.code, b"The job was damaged on its way") == (reply.fault, said)
        assert await redis.exists(KEYS.dead) == 0
    assert upstream.calls == [["hello"]]
    assert await keys_left(redis_url) == []


async def test_a_redirect_is_not_followed(redis_url: str, upstream: FakeUpstream) -> None:
    elsewhere = FakeUpstream()
    await elsewhere.start()
    upstream.behave = always(lambda _texts: web.Response(status=307, headers={"Location": f"{elsewhere.url}/embed"}))
    try:
        async with ready_house(redis_url, upstream.url) as house:
            assert (await house.embed("hello"))[0] == 502
    finally:
        await elsewhere.stop()
    assert elsewhere.calls == []


async def test_a_job_that_three_batchers_died_with_is_answered_502(redis_url: str, upstream: FakeUpstream) -> None:
    async with left_house(redis_url, upstream.url) as house, AsyncExitStack() as stack:
        link = RedisLink(Master.from_url(redis_url, Keys("house")), "test")
        link.start()
        stack.push_async_callback(link.close)
        await link.wait_connected(60)
        asking = asyncio.create_task(house.embed("hello"))
        other = BatcherQueue(link, link, Keys("house"), "other", lease_ms=60_000, reply_ttl_ms=1000)
        for name in ("first", "second", "third"):
            dying = BatcherQueue(link, link, Keys("house"), name, lease_ms=100, reply_ttl_ms=1000)
            await wait_until(partial(claims, dying))
            if name != "third":
                await wait_until(partial(reaps, other))
        await house.add_batcher(upstream.url)
        status, error = await asking
    assert (status, error["error_type"]) == (502, "Backend")
    assert "three batchers" in error["error"]
    assert upstream.calls == []


async def test_jobs_of_a_batcher_that_died_are_called_in_full_batches(redis_url: str, upstream: FakeUpstream) -> None:
    """One by one, slow calls would hold up all traffic for a minute."""
    texts = [f"text {number}" for number in range(64)]
    async with left_house(redis_url, upstream.url) as house, AsyncExitStack() as stack:
        link = RedisLink(Master.from_url(redis_url, Keys("house")), "test")
        link.start()
        stack.push_async_callback(link.close)
        await link.wait_connected(60)
        asking = asyncio.create_task(house.embed_each(texts))
        await wait_until(lambda: house.holds(64))
        dying = BatcherQueue(link, link, Keys("house"), "dying", lease_ms=100, reply_ttl_ms=1000)
        held = 0

        async def has_all() -> bool:
            nonlocal held
            held += len((await dying.claim(64, 0)).fresh)
            return held == 64

        await wait_until(has_all)
        await house.add_batcher(upstream.url)
        assert [(200, [vector(text)]) for text in texts] == await asking
    assert [32, 32] == [len(call) for call in upstream.calls]


async def claims(queue: BatcherQueue) -> bool:
    claim = await queue.claim(1, 1)
    return bool([*claim.fresh, *claim.suspects])


async def reaps(queue: BatcherQueue) -> bool:
    return (await queue.reap())[0] == 1
