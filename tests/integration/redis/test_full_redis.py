"""A Redis that has reached its `maxmemory`: a clear refusal, answers for all who were accepted, and recovery by itself."""

import asyncio
import json
import time
from contextlib import suppress
from io import BytesIO

import orjson
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from autobatch_proxy.queue.fleet_watcher import ABSENT_AFTER_S
from tests.support.fake_upstream import FakeUpstream, Gate, vector
from tests.support.house import House, HttpAnswer, ready_house
from tests.support.servers.leaks import has_no_keys
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

MB = 1_000_000
ACCEPTED = [f"accepted {number}" for number in range(100)]


async def accepted_and_held(
    house: House, upstream: FakeUpstream
) -> tuple[Gate, "asyncio.Task[list[tuple[int, object]]]"]:
    """Ask for ACCEPTED, of which all are held; they are answered once the gate is opened."""
    upstream.behave = gate = Gate()
    accepted = asyncio.create_task(house.embed_each(ACCEPTED))
    await wait_until(lambda: len(upstream.calls) >= 2)
    await wait_until(lambda: house.holds(len(ACCEPTED)))
    return gate, accepted


async def test_a_full_redis_is_a_clear_503_until_there_is_room_again(
    own_redis: RedisServer, upstream: FakeUpstream
) -> None:
    own_redis.start("--maxmemory", "20mb")
    async with ready_house(own_redis.url, upstream.url) as house, Redis.from_url(own_redis.url) as redis:
        gate, accepted = await accepted_and_held(house, upstream)

        large = [asyncio.create_task(house.post("/embed", {"inputs": "x" * MB})) for _ in range(40)]
        await wait_until(lambda: any(each.done() for each in large))

        gate.opened.set()
        assert [(200, [vector(text)]) for text in ACCEPTED] == await accepted
        replies = await asyncio.gather(*large)  # those for which there was room have been answered too
        refused = {(reply.status, reply.headers["Retry-After"], reply.body) for reply in replies if reply.status != 200}
        assert refused == {(503, "1", b'{"error":"The queue has no memory left","error_type":"Unhealthy"}')}
        assert (await house.embed("room again")) == (200, [vector("room again")])
        await wait_until(lambda: has_no_keys(own_redis.url))
        assert (await redis.info("memory"))["used_memory"] < 10 * MB


async def test_while_no_byte_is_free_what_was_accepted_is_still_answered(
    own_redis: RedisServer, upstream: FakeUpstream
) -> None:
    """Longer than a lease, too, and longer than a batcher may report nothing: claims are kept, and no batcher is missed."""
    own_redis.start("--maxmemory", "20mb")
    async with ready_house(own_redis.url, upstream.url) as house, Redis.from_url(own_redis.url) as redis:
        gate, accepted = await accepted_and_held(house, upstream)
        await redis.config_set("maxmemory", 100_000)  # less than it has: as when another program has filled it

        async def is_refused() -> bool:
            return (await house.embed("more"))[0] == 503

        await wait_until(is_refused)
        begun = await redis.time()

        async def lasted_too_long() -> bool:
            seconds, micros = await redis.time()
            return bool(seconds - begun[0] + (micros - begun[1]) / 1e6 > ABSENT_AFTER_S + 1)

        await wait_until(lasted_too_long)
        assert (await house.embed("still full"))[1]["error"] == "The queue has no memory left"
        gate.opened.set()

        assert [(200, [vector(text)]) for text in ACCEPTED] == await accepted
        assert sorted(ACCEPTED) == sorted(text for call in upstream.calls for text in call)
        await redis.config_set("maxmemory", 20 * MB)
        assert (await house.embed("room again")) == (200, [vector("room again")])
        assert await house.is_healthy()


async def test_a_redis_that_cannot_save_its_data_is_not_taken_for_a_missing_batcher(
    own_redis: RedisServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither reports nor leases can be written, also for longer than a batcher may be silent."""
    own_redis.start("--save", "3600 1")
    async with ready_house(own_redis.url, upstream.url) as house, Redis.from_url(own_redis.url) as redis:
        assert await house.embed("before") == (200, [vector("before")])
        (own_redis.socket.parent / "dump.rdb").mkdir()  # which no snapshot can replace
        with suppress(ResponseError):
            await redis.bgsave()

        async def is_known() -> bool:
            return bool((await house.get("/status")).json["redis"]["refusal"] == "MISCONF")

        await wait_until(is_known)
        begun_s = time.monotonic()
        said = {json.dumps((await house.embed("refused"))[1])}

        async def lasted_too_long() -> bool:
            said.add(json.dumps((await house.embed("refused"))[1]))
            return time.monotonic() - begun_s > ABSENT_AFTER_S + 1

        await wait_until(lasted_too_long)
        assert {json.dumps({"error": "The queue takes no writes", "error_type": "Unhealthy"})} == said
        assert "redis_refuses" in [record.message for record in caplog.records]
        await redis.config_set("stop-writes-on-bgsave-error", "no")
        await wait_until(house.is_healthy)
        assert await house.embed("after") == (200, [vector("after")])
        assert (await house.get("/status")).json["redis"]["refusal"] is None


LARGE = orjson.dumps({"inputs": "word " * 300_000})
REFUSED = {
    "error": "The request is larger than Redis takes: its proto-max-bulk-len must be raised above PAYLOAD_LIMIT",
    "error_type": "Validation",
}


async def embed_large(house: House) -> HttpAnswer:
    return await house.post("/embed", BytesIO(LARGE), content_type="application/json")


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of the batcher's client
@pytest.mark.parametrize("was_lowered", [False, True])
async def test_a_request_above_what_redis_takes_is_413_and_its_neighbours_are_answered(
    own_redis: RedisServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, *, was_lowered: bool
) -> None:
    """Redis closes the connection that it comes on: so the first is tried on one of its own, unless one was taken before."""
    own_redis.start()
    texts = [f"neighbour {number}" for number in range(30)]
    async with ready_house(own_redis.url, upstream.url) as house, Redis.from_url(own_redis.url) as redis:
        if was_lowered:
            assert (await embed_large(house)).status == 200
        await redis.config_set("proto-max-bulk-len", 2**20)
        large = [asyncio.create_task(embed_large(house)) for _ in range(3)]
        small = asyncio.create_task(house.embed_each(texts))
        assert [(413, REFUSED)] * 3 == [(reply.status, reply.json) for reply in await asyncio.gather(*large)]
        assert [(200, [vector(text)]) for text in texts] == await small
        await wait_until(lambda: has_no_keys(own_redis.url))
    assert was_lowered or "jobs_lost" not in [record.message for record in caplog.records]


async def test_a_reply_above_what_redis_takes_costs_its_own_job_only(
    own_redis: RedisServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis closes the connection that it comes on; neighbours of its transaction and of its connection are sent again."""
    own_redis.start("--proto-max-bulk-len", "1mb")
    texts = [f"neighbour {number}" for number in range(30)]
    async with ready_house(own_redis.url, upstream.url) as house:
        small = asyncio.create_task(house.embed_each(texts))
        huge = await house.post("/embed_all", {"inputs": "word " * 10_000})
        sentence = "The answer is too large: ask for fewer inputs at once"
        assert (502, {"error": sentence, "error_type": "Backend"}) == (huge.status, huge.json)
        assert [(200, [vector(text)]) for text in texts] == await small
        assert await house.embed("after") == (200, [vector("after")])
        await wait_until(lambda: has_no_keys(own_redis.url))
    assert 1 == [record.message for record in caplog.records].count("reply_too_large")
