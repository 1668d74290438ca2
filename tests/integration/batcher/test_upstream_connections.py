"""Connections to the upstream that end, and answers without an end: what is sent again, and what the log is told."""

import asyncio
import gzip
import itertools
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from autobatch_batcher.dialects.base import AskedRows, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.breaker import FAILURES_MAX
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.clients.http_connections import open_sessions
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.errors import (
    InvalidAnswer,
    UpstreamBroken,
    UpstreamChanged,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamUnavailable,
)
from tests.support.ports import free_port

Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[[1]]"
CALL = Post("/embed", b"{}")
CARD = b'{"model_id":"fake","model_type":{"embedding":{"pooling":"mean"}}}'


@asynccontextmanager
async def replica_at(url: str, answer_bytes_max: int = 1_000) -> AsyncIterator[Replica]:
    async with open_sessions() as (session, fresh):
        client = HttpClient(session, url, None, fresh=fresh, answer_bytes_max=answer_bytes_max)
        made = Replica(url, client, [Tei()], configured(32, 10**6), Tuner(1))
        made.is_healthy = True
        yield made


@asynccontextmanager
async def upstream_that(serve: Serving, answer_bytes_max: int = 1_000) -> AsyncIterator[Replica]:
    """Serve each connection, with its number."""
    numbers = itertools.count()

    async def serve_next(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer, next(numbers))
        except asyncio.IncompleteReadError:
            pass  # the client has closed it
        finally:
            writer.close()

    server = await asyncio.start_server(serve_next, "127.0.0.1", 0)
    async with server, replica_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", answer_bytes_max) as made:
        yield made


async def read_call(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(CALL.body))


async def closes_as_the_second_comes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    """Answer one call on each connection, and close it when the next one arrives: the race with an idle time's end."""
    await read_call(reader)
    writer.write(GOOD)
    await read_call(reader)


async def test_measures_are_what_a_reply_can_carry() -> None:
    """A header need not be UTF-8, and a reply's has to be."""
    said = b"x-compute-type: cpu\xff\r\nx-compute-time: 7\r\nx-secret: no\r\nx-queue-time: \r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        await read_call(reader)
        writer.write(GOOD.replace(b"\r\n\r\n", b"\r\n%b\r\n" % said))

    async with upstream_that(serve) as upstream:
        assert (await upstream.call(CALL, 5)).measures == {"x-compute-time": "7"}


async def test_a_kept_connection_that_ends_as_the_call_comes_is_no_death() -> None:
    async with upstream_that(closes_as_the_second_comes) as upstream:
        answers = [await upstream.call(CALL, 5) for _ in range(6)]

        assert [b"[[1]]"] * 6 == [answer.body for answer in answers]
        assert [False, True, False, True, False, True] == [answer.was_sent_again for answer in answers]
        assert upstream.is_healthy
        assert upstream.breaker.is_quiet


async def test_one_that_ends_in_the_middle_of_an_answer_is_not_sent_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        assert number == 0
        await read_call(reader)
        writer.write(GOOD)
        await read_call(reader)
        writer.write(GOOD[:-1])

    async with upstream_that(serve) as upstream:
        await upstream.call(CALL, 5)
        with pytest.raises(UpstreamBroken) as raised:
            await upstream.call(CALL, 5)
        assert raised.value.cause == "closed in mid-answer"
        assert not upstream.is_healthy


async def test_a_new_connection_that_ends_is_not_sent_again() -> None:
    """It is asked how it is, and with a text of ours; the call is made once."""
    calls = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int) -> None:
        calls.append(await reader.readuntil(b"\r\n\r\n"))
        calls.append(await reader.readexactly(len(CALL.body)))

    async with upstream_that(serve) as upstream:
        with pytest.raises(UpstreamBroken) as raised:
            await upstream.call(CALL, 5)
        assert (raised.value.cause, calls.count(CALL.body)) == ("closed before an answer", 1)


async def test_an_upstream_that_ends_a_call_and_is_gone_may_have_died_of_it() -> None:
    """The second sending is refused: so it was not only the connection that ended."""
    stopped = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_call(reader)
        writer.write(GOOD)
        await read_call(reader)
        server.close()
        stopped.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with replica_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as upstream:
        await upstream.call(CALL, 5)
        with pytest.raises(UpstreamBroken) as raised:
            await upstream.call(CALL, 5)
        assert (raised.value.cause, stopped.is_set()) == ("ECONNREFUSED", True)


ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("head", [ENDLESS, b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"])
async def test_an_answer_above_the_limit_is_not_read(head: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        await read_call(reader)
        writer.write(head)
        with suppress(ConnectionError):
            while True:  # until the connection is closed
                writer.write(b"3e8\r\n%b\r\n" % (b"x" * 1000))
                await writer.drain()

    async with upstream_that(serve) as upstream:
        with pytest.raises(UpstreamProtocolError, match="more than 1000 bytes"):
            await upstream.call(CALL, 5)
        assert upstream.is_healthy


@asynccontextmanager
async def upstream_that_says(answer: bytes) -> AsyncIterator[Replica]:
    """One with its card, that gives this answer to every call."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        while True:
            said = answer
            if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
                await reader.readexactly(len(CALL.body))
            else:
                said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(CARD), CARD)
            writer.write(said)

    async with upstream_that(serve) as upstream:
        upstream.take_card(Tei().card(CARD), 0.0)
        upstream.learnt(1, 0.0)
        yield upstream


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
@pytest.mark.parametrize("asked", [None, AskedRows("/embed", [b'"text"'])], ids=["passed on", "rows"])
async def test_an_answer_that_is_not_encoded_as_it_says_is_invalid(encoding: bytes, asked: AskedRows | None) -> None:
    """The upstream has not hung up on the call: a proxy before it has left, or set, a header that is wrong."""
    said = GOOD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % encoding)
    async with upstream_that_says(said) as upstream:
        for _ in range(FAILURES_MAX):
            assert upstream.is_well
            with pytest.raises(InvalidAnswer, match="Content-Encoding") as raised:
                await upstream.call(CALL, 5, asked)
            assert raised.value.cause.startswith("invalid answer: ")
        assert (upstream.breaker.is_closed, upstream.trouble) == (False, "invalid answer")


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
async def test_an_answer_that_is_encoded_is_read(encode: Callable[[bytes], bytes]) -> None:
    async def call(body: bytes) -> bytes:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(encode(body))
        async with upstream_that_says(head + encode(body)) as upstream:
            return (await upstream.call(CALL, 5)).body

    assert await call(b"[[1]]" * 200) == b"[[1]]" * 200
    with pytest.raises(UpstreamProtocolError, match="more than 1000 bytes"):
        await call(b"[[1]]" * 201)


async def test_an_error_that_is_not_encoded_as_it_says_is_what_its_status_says() -> None:
    said = GOOD.replace(b"200 OK", b"422 No").replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    async with upstream_that_says(said) as upstream:
        answer = await upstream.call(CALL, 5)
        assert (answer.status, answer.body, upstream.is_well) == (422, b"", True)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:{port}", "ECONNREFUSED"),
        ("http://no-such-host.invalid:{port}", "dns: no-such-host.invalid: "),
    ],
)
async def test_the_cause_of_a_failed_call_is_told(url: str, cause: str, unused_port: int) -> None:
    async with replica_at(url.format(port=unused_port)) as upstream:
        with pytest.raises(UpstreamError) as raised:
            await upstream.call(CALL, 5)
        assert raised.value.cause.startswith(cause)


async def test_a_card_is_asked_again_before_its_upstream_is_doubted() -> None:
    """An upstream that ends its connections soon after an answer does so while its card is asked on them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        for _ in range(2 if number < 2 else 1):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /info") and number < 2:
                return
            body = CARD if head.startswith(b"GET") else await reader.readexactly(len(CALL.body)) and b"[[1]]"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with upstream_that(serve) as upstream:
        upstream.take_card(Tei().card(CARD), 0.0)
        upstream.learnt(1, 0.0)

        assert (await upstream.call(CALL, 5)).body == b"[[1]]"
        assert upstream.is_included


async def test_a_card_that_is_not_answered_is_the_cause_of_the_failed_call(caplog: pytest.LogCaptureFixture) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
            await reader.readexactly(len(CALL.body))
            writer.write(GOOD)
            await reader.readuntil(b"\r\n\r\n")

    async with upstream_that(serve) as upstream:
        upstream.take_card(Tei().card(CARD), 0.0)
        upstream.learnt(1, 0.0)
        with pytest.raises(UpstreamChanged, match="does not say what it serves") as raised:
            await upstream.call(CALL, 5)

        assert raised.value.cause == "it does not answer /info: closed before an answer"
        assert upstream.standing.reason == raised.value.cause
    assert "upstream_excluded" in caplog.messages


@asynccontextmanager
async def tls_upstream(port: int, authority: trustme.CA) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Answer any number of calls on each connection; its connections."""
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await read_call(reader)
                writer.write(GOOD)

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls) as server:
        yield connections
        server.close()
        for writer in connections:
            writer.close()


@pytest.mark.parametrize("is_own", [False, True], ids=["INFERENCE_CA_FILE", "this machine's"])
async def test_authorities_that_are_replaced_in_their_file_count_for_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_own: bool
) -> None:
    """And connections that exist go on, also while there is no such file."""
    before, after, port, file = trustme.CA(), trustme.CA(), free_port(), tmp_path / "ca.pem"
    before.cert_pem.write_to_path(str(file))
    if is_own:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with open_sessions(None if is_own else str(file)) as (session, fresh):
        client = HttpClient(session, f"https://127.0.0.1:{port}", None, fresh=fresh)
        async with tls_upstream(port, before) as connections:
            assert (await client.send(CALL, 30)).body == b"[[1]]"
            file.unlink()
            assert (await client.send(CALL, 30)).body == b"[[1]]"
            assert len(connections) == 1
        async with tls_upstream(port, after):
            with pytest.raises(UpstreamUnavailable) as raised:
                await client.send(CALL, 30)
            said = "CERTIFICATE_VERIFY_FAILED" if is_own else "INFERENCE_CA_FILE: not a file of PEM certificates"
            assert raised.value.cause.startswith("tls: ")
            assert said in raised.value.cause
            after.cert_pem.write_to_path(str(file))
            assert (await client.send(CALL, 30)).body == b"[[1]]"
