"""Requests whose head is known are answered as all others: the same bytes, errors, counts and ends."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from autobatch_proxy.http import plain_requests
from tests.support.fake_upstream import FakeUpstream, Gate, vector
from tests.support.house import House, ready_house
from tests.support.raw_http import RawAnswer, RawConnection, raw_connection
from tests.support.waiting import wait_until

SIGHTS = 2  # until a head is known
own_id = re.compile(rb'"id":"[^"]+"')


def sent(inputs: object = "hello", *lines: str, path: str = "/embed") -> bytes:
    body = inputs if isinstance(inputs, bytes) else orjson.dumps({"inputs": inputs})
    head = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}"]).encode() + b"\r\n\r\n" + body


async def connect(stack: AsyncExitStack, house: House) -> RawConnection:
    return await stack.enter_async_context(raw_connection(urlsplit(house.url).port or 0))


async def answer_to(client: RawConnection, data: bytes) -> RawAnswer:
    await client.send([data])
    async with asyncio.timeout(60):
        answered = await client.answer()
    assert answered is not None
    return answered


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of the plain requests so far."""
    bodies: list[bytes] = []
    begin = plain_requests.PlainRequest.begin

    def noted(self: plain_requests.PlainRequest, start: str | None, body: bytes) -> None:
        bodies.append(body)
        begin(self, start, body)

    monkeypatch.setattr(plain_requests.PlainRequest, "begin", noted)
    return bodies


@pytest.mark.parametrize(
    "data",
    [
        sent("hello"),
        sent(["a", "b"]),
        sent(b'{"inputs":"hello","unknown":1,"normalize":7}'),
        sent(b"no json"),
        sent(["x"] * 40),
        sent([str(number) * (1 + 20 * number) for number in range(30)]),
        sent([[1, 2, 3]]),
        sent([]),
        sent("hello", path="/v1/embeddings"),
        sent(b'{"input":"hello","model":"m"}', path="/v1/embeddings"),
    ],
    ids=["text", "list", "fields", "no json", "too many", "several jobs", "ids", "none", "no input", "openai"],
)
async def test_a_known_head_changes_no_answer(
    redis_url: str, upstream: FakeUpstream, plain: list[bytes], data: bytes
) -> None:
    async with ready_house(redis_url, upstream.url) as house, AsyncExitStack() as stack:
        client = await connect(stack, house)
        usual = await answer_to(client, data)
        for _ in range(SIGHTS):
            await answer_to(client, data)
        again = await answer_to(client, data)
        assert plain
        assert (again.status, own_id.sub(b"", again.body)) == (usual.status, own_id.sub(b"", usual.body))
        assert set(again.headers) == set(usual.headers)
        assert await house.holds(0)


async def test_an_id_is_that_of_its_own_request(redis_url: str, upstream: FakeUpstream, plain: list[bytes]) -> None:
    async with ready_house(redis_url, upstream.url) as house, AsyncExitStack() as stack:
        client = await connect(stack, house)
        for number, body in enumerate([b'{"inputs":"a"}'] * 4 + [b"no json", b'{"inputs":"longer"}']):
            answered = await answer_to(client, sent(body, f"X-Request-Id: id-{number}"))
            assert answered.headers["x-request-id"] == f"id-{number}"
        made = {(await answer_to(client, sent())).headers["x-request-id"] for _ in range(6)}
        assert len(made) == 6
        assert len(plain) == 4 + 4


async def test_a_key_that_ends_lets_nobody_in(
    redis_url: str, upstream: FakeUpstream, plain: list[bytes], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("old\n")
    async with (
        ready_house(redis_url, upstream.url, proxy={"api_keys_file": str(keys)}) as house,
        AsyncExitStack() as stack,
    ):
        client = await connect(stack, house)
        asked = sent("hello", "Authorization: Bearer old")
        assert [(await answer_to(client, asked)).status for _ in range(4)] == [200] * 4
        assert plain
        keys.write_text("new\n")

        async def is_refused() -> bool:
            return (await answer_to(client, asked)).status == 401

        await wait_until(is_refused)
        assert [(await answer_to(client, asked)).status for _ in range(2)] == [401] * 2


async def test_a_client_that_disconnects_frees_its_place(
    redis_url: str, upstream: FakeUpstream, plain: list[bytes]
) -> None:
    async with ready_house(redis_url, upstream.url) as house, AsyncExitStack() as stack:
        gate = Gate()
        async with raw_connection(urlsplit(house.url).port or 0) as client:
            for _ in range(1 + SIGHTS):
                await answer_to(client, sent())
            upstream.behave = gate
            await client.send([sent()])
            await wait_until(lambda: house.holds(1))
        await wait_until(lambda: house.holds(0))
        gate.opened.set()
        assert plain
        other = await connect(stack, house)
        assert orjson.loads((await answer_to(other, sent())).body) == [vector("hello")]


async def test_requests_before_the_answer_are_answered_in_their_order(
    redis_url: str, upstream: FakeUpstream, plain: list[bytes]
) -> None:
    async with ready_house(redis_url, upstream.url) as house, AsyncExitStack() as stack:
        client = await connect(stack, house)
        for _ in range(1 + SIGHTS):
            await answer_to(client, sent())
        await client.send([sent(f"text {number}") for number in range(5)])
        for number in range(5):
            answered = await client.answer()
            assert answered is not None
            assert orjson.loads(answered.body) == [vector(f"text {number}")]
        assert plain
