"""Bodies are admitted before they are read, and a request has one deadline whatever the tries."""

import asyncio
import time
from contextlib import AsyncExitStack
from io import BytesIO

import orjson
import pytest

from tests.support.fake_upstream import FakeUpstream, Gate
from tests.support.house import House, HttpAnswer, open_house, ready_house
from tests.support.raw_http import chunked, raw_connection, request
from tests.support.waiting import wait_until

LARGE = orjson.dumps({"inputs": "x" * 700_000})
FULL = "Model is overloaded: this worker holds too many bytes of requests"


async def post(house: House, path: str, body: bytes) -> HttpAnswer:
    return await house.post(path, BytesIO(body), content_type="application/json")


def port_of(house: House) -> int:
    return int(house.url.rpartition(":")[2])


async def test_a_large_body_is_refused_before_it_is_read_and_a_small_one_is_not(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """One of 0.7 MB is held; a second one would exceed the three quarters of 1 MB that large ones may have."""
    upstream.behave = gate = Gate()
    async with ready_house(redis_url, upstream.url, proxy={"max_bodies_mb": 1}) as house:
        held = asyncio.create_task(post(house, "/embed", LARGE))
        await wait_until(lambda: bool(upstream.calls))
        for path, shown in (("/embed", "error"), ("/v1/embeddings", "message")):
            async with raw_connection(port_of(house)) as connection:
                head, _, _ = request(LARGE, start=f"POST {path} HTTP/1.1".encode()).partition(b"\r\n\r\n")
                await connection.send([head + b"\r\n\r\n"])  # and none of the body
                answer = await connection.answer()
            assert answer is not None
            assert answer.status == 429
            assert answer.headers["retry-after"] == "1"
            assert orjson.loads(answer.body)[shown] == FULL
        small = asyncio.create_task(house.embed("small"))
        await wait_until(lambda: house.holds(2))
        gate.opened.set()
        assert (await held).status == 200
        assert (await small)[0] == 200
        assert (await post(house, "/embed", LARGE)).status == 200


async def test_small_bodies_without_a_length_take_no_more_room_than_they_have(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """There is room for half of the largest body."""
    upstream.behave = gate = Gate()
    sent = request(chunked(b'{"inputs":', b'"a"}'), b"Transfer-Encoding: chunked", length=False)
    late = len(chunked(b'"a"}'))
    async with ready_house(redis_url, upstream.url, proxy={"max_bodies_mb": 1}) as house, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_connection(port_of(house))) for _ in range(20)]
        for client in clients[:10]:
            await client.send([sent])
        for client in clients[10:]:  # whose bodies come in two pieces
            await client.send([sent[:-late]])
            await client.send([sent[-late:]])
        await wait_until(lambda: house.holds(len(clients)))
        gate.opened.set()
        answers = [await client.answer() for client in clients]
    assert [200] * len(clients) == [answer.status for answer in answers if answer]


async def test_a_large_body_without_a_length_is_refused_once_too_much_of_it_has_come(
    redis_url: str, upstream: FakeUpstream
) -> None:
    upstream.behave = gate = Gate()
    head = request(b"", b"Transfer-Encoding: chunked", length=False)
    async with ready_house(redis_url, upstream.url, proxy={"max_bodies_mb": 1}) as house:
        held = asyncio.create_task(post(house, "/embed", LARGE))
        await wait_until(lambda: bool(upstream.calls))
        async with raw_connection(port_of(house)) as connection:
            await connection.send([head, chunked(LARGE)[:-20]])  # its end never comes
            answer = await connection.answer()
        assert answer is not None
        assert (answer.status, orjson.loads(answer.body)["error"]) == (429, FULL)
        gate.opened.set()
        assert (await held).status == 200
        again = request(chunked(LARGE), b"Transfer-Encoding: chunked", length=False)
        async with raw_connection(port_of(house)) as connection:
            await connection.send([again])
            answer = await connection.answer()
        assert answer is not None
        assert answer.status == 200, "all room was given back"


async def test_a_body_alone_may_be_larger_than_the_room(redis_url: str) -> None:
    """PAYLOAD_LIMIT may be. What is wrong with this one is found after it was read."""
    async with open_house(redis_url, max_bodies_mb=1) as house:
        assert (await post(house, "/v1/embedding", b"{" * 1_500_000)).status == 422


async def test_room_is_given_back_whatever_becomes_of_a_request(redis_url: str) -> None:
    """Without a batcher, each of these ends in another way."""
    async with open_house(redis_url, max_bodies_mb=1, request_timeout_ms=50) as house:
        for _ in range(3):
            refused = await post(house, "/v1/embedding", b"{" * 700_000)
            assert refused.status == 422
            late = await post(house, "/embed", LARGE)
            assert late.status in (503, 504)


async def test_far_too_many_inputs_are_refused_undecoded(redis_url: str) -> None:
    async with open_house(redis_url) as house:
        for body in (b'{"inputs":[%b]}', b'{"ids":[%b]}'):
            path = "/embed" if b"inputs" in body else "/decode"
            lists = b",".join([b"[1]"] * 400_000)
            answer = await post(house, path, body % lists)
            assert answer.status == 422
            assert answer.json["error"] == "batch size > maximum allowed batch size 2048"


@pytest.mark.parametrize(("ago_s", "status"), [(0.0, 200), (30.0, 200), (59.0, 504)])
async def test_the_time_at_a_worker_that_died_is_part_of_the_deadline(
    redis_url: str, upstream: FakeUpstream, ago_s: float, status: int
) -> None:
    """Nginx says when it first sent a request, in the same bytes at each try."""
    async with ready_house(redis_url, upstream.url, proxy={"request_timeout_ms": 60_000}) as house:
        first = await house.post("/embed", {"inputs": "a"}, x_request_start=f"t={time.time():.3f}")
        assert first.status == 200
        upstream.behave = Gate() if status == 504 else None
        async with asyncio.timeout(30):  # half of what an upstream that does not answer would take of a new request
            again = await house.post("/embed", {"inputs": "b"}, x_request_start=f"t={time.time() - ago_s:.3f}")
        assert again.status == status
