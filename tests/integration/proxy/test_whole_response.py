"""Good answers as they go over the wire: written by us, so every connection rule is ours to keep."""

import asyncio
import re
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import orjson
import pytest

from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, ready_house


async def exchange(
    house: House, version: str, connection: str | None, times: int = 1, *, until_end: bool = False
) -> list[str]:
    """Send the same request `times` times over one connection; return the heads, once the server has closed it if `until_end`."""
    parts = urlsplit(house.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    body = b'{"inputs":"hello"}'
    lines = [f"POST /embed HTTP/{version}", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    if connection:
        lines.append(f"Connection: {connection}")
    heads = []
    for _ in range(times):
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        answer = await reader.readexactly(int(re.findall(r"Content-Length: (\d+)\r\n", head)[0]))
        assert [vector("hello")] == orjson.loads(answer)
        heads.append(head)
    if until_end:
        async with asyncio.timeout(60):
            assert await reader.read(1) == b""
    writer.close()
    return heads


@pytest.mark.parametrize(
    ("version", "connection", "told", "is_closed"),
    [
        ("1.1", None, None, False),
        ("1.1", "keep-alive", None, False),
        ("1.1", "close", "close", True),
        ("1.0", None, "close", True),
        ("1.0", "keep-alive", "keep-alive", False),
    ],
)
async def test_a_connection_stays_as_long_as_the_client_wants(
    redis_url: str, upstream: FakeUpstream, version: str, connection: str | None, told: str | None, *, is_closed: bool
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        heads = await exchange(house, version, connection, times=1 if is_closed else 3, until_end=is_closed)
    assert {told} == {next(iter(re.findall(r"Connection: (\S+)\r\n", head)), None) for head in heads}


async def test_the_head_says_what_it_must(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        (head,) = await exchange(house, "1.1", None)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    expected = {"Content-Type", "Content-Length", "Date", "Server-Timing", "X-Batch-Size", "x-request-id", "vary"}
    own = {"x-compute-type", "x-compute-tokens", "x-compute-characters", "x-compute-time", "x-queue-time"}
    own |= {"access-control-allow-origin", "X-Model", "X-Model-Fingerprint"}
    assert expected | own == set(fields)
    assert parsedate_to_datetime(fields["Date"]).tzinfo is not None
    assert re.fullmatch(r"queue;dur=\d+\.\d, upstream;dur=\d+\.\d", fields["Server-Timing"])
    assert fields["X-Batch-Size"] == "1"


async def test_a_reader_that_is_slow_gets_all_of_a_long_answer(redis_url: str, upstream: FakeUpstream) -> None:
    """Longer than the buffers between."""
    texts = [f"text {number}" for number in range(32)]
    async with (
        ready_house(redis_url, upstream.url) as house,
        house.http.post(f"{house.url}/embed", json={"inputs": texts}) as answer,
    ):
        read = b""
        while chunk := await answer.content.read(4096):
            read += chunk
            await asyncio.sleep(0)
    assert [vector(text) for text in texts] == orjson.loads(read)
