"""The pipelining connection against real servers, and against peers that misbehave."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trustme
from redis.asyncio import Redis

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.commands import ReplyError, in_one_step
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def linked(url: str, silence_max_s: float = 5.0) -> AsyncIterator[RedisLink]:
    link = RedisLink(Master.from_url(url, Keys("test")), "test", silence_max_s)
    link.start()
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def listening(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP server of the test's own."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the connection's name, the question whether this is the master, and those for the mark of its data."""
    for reply in (b"+OK\r\n", b":0\r\n", b"+OK\r\n", b"$-1\r\n"):
        await reader.read(1000)
        writer.write(reply)


def relay_to(server: RedisServer) -> Handler:
    """Give a unix socket's server a TCP port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(server.socket)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)

    return handler


async def test_commands_of_one_tick_are_answered_in_order(redis_url: str) -> None:
    async with linked(redis_url) as link:
        assert await link.wait_connected(5)
        futures = [link.execute("ECHO", str(number)) for number in range(100)]
        assert [str(number).encode() for number in range(100)] == await asyncio.gather(*futures)


async def test_an_error_reply_is_raised_and_the_next_command_works(redis_url: str) -> None:
    async with linked(redis_url) as link:
        await link.wait_connected(5)
        with pytest.raises(ReplyError, match="unknown command"):
            await link.execute("NONSENSE")
        assert await link.execute("PING") == b"PONG"


async def test_a_transaction_gives_all_replies(redis_url: str) -> None:
    async with linked(redis_url) as link:
        await link.wait_connected(5)
        assert await in_one_step(link, ("SET", "a", "1", "PX", 60_000), ("GET", "a")) == [b"OK", b"1"]
        with pytest.raises(ReplyError, match="WRONGTYPE"):
            await in_one_step(link, ("GET", "a"), ("LPUSH", "a", "1"))


async def test_a_caller_that_leaves_does_not_shift_the_replies(redis_url: str) -> None:
    async with linked(redis_url) as link:
        await link.wait_connected(5)
        leaving, staying = link.execute("ECHO", "one"), link.execute("ECHO", "two")
        leaving.cancel()
        assert await staying == b"two"


async def test_without_a_server_commands_fail_at_once(own_redis: RedisServer) -> None:
    async with linked(own_redis.url) as link:
        with pytest.raises(QueueUnavailable):
            await link.execute("PING")
        with pytest.raises(QueueUnavailable):
            await link.transaction([("PING",)])
        assert not await link.wait_connected(0.05)


async def test_waiters_fail_when_the_connection_breaks_and_it_comes_back(own_redis: RedisServer) -> None:
    own_redis.start()
    async with linked(own_redis.url) as link:
        await link.wait_connected(5)
        waiting = link.execute("BLPOP", "nothing", "0")
        own_redis.kill()
        with pytest.raises(QueueUnavailable, match="broke"):
            await waiting
        assert not link.is_connected
        own_redis.start()
        assert await link.wait_connected(5)
        assert await link.execute("PING") == b"PONG"


async def test_a_server_that_starts_later_is_found(own_redis: RedisServer) -> None:
    async with linked(own_redis.url) as link:
        assert not await link.wait_connected(0.1)
        own_redis.start()
        assert await link.wait_connected(5)


async def test_a_silent_peer_is_given_up() -> None:
    """A black hole in the network must not hold requests for ever."""

    async def answers_the_greeting_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await reader.read()
        writer.close()

    async with listening(answers_the_greeting_only) as port, linked(f"redis://127.0.0.1:{port}", 0.05) as link:
        assert await link.wait_connected(5)
        with pytest.raises(QueueUnavailable):
            await link.execute("PING")


async def test_an_idle_connection_is_left_alone(redis_url: str) -> None:
    """For ten times as long as it may be silent; in so short a time a server of a busy machine may miss to answer."""
    async with linked(redis_url, 0.02) as link, Redis.from_url(redis_url) as redis:

        async def is_left_alone() -> bool:
            assert await link.wait_connected(30)
            try:
                first = await link.execute("CLIENT", "ID")
                for _ in range(10):
                    await redis.execute_command("BLPOP", "nothing", 0.02)  # type: ignore[no-untyped-call]
                return bool(await link.execute("CLIENT", "ID") == first)
            except QueueUnavailable:
                return False

        await wait_until(is_left_alone)


async def test_a_peer_that_speaks_no_redis_is_given_up() -> None:
    async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with listening(speaks_http) as port, linked(f"redis://127.0.0.1:{port}") as link:
        assert not await link.wait_connected(0.2)


async def test_a_server_that_refuses_unasked_is_given_up() -> None:
    """As Redis does in its protected mode."""

    async def refuses(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-DENIED Redis is running in protected mode\r\n" * 3)
        await writer.drain()
        writer.close()

    async with listening(refuses) as port, linked(f"redis://127.0.0.1:{port}") as link:
        assert not await link.wait_connected(0.2)


async def test_a_password_a_user_and_a_database(own_redis: RedisServer) -> None:
    own_redis.start("--requirepass", "hidden", "--user", "worker", "on", ">secret", "~*", "+@all")
    async with linked(own_redis.url.replace("unix://", "unix://:hidden@") + "?db=3") as link:
        assert await link.wait_connected(5)
        await link.execute("SET", "key", "in 3", "PX", 10_000)
    async with linked(own_redis.url.replace("unix://", "unix://worker:secret@") + "?db=3") as link:
        assert await link.wait_connected(5)
        assert await link.execute("GET", "key") == b"in 3"
        assert b"name=test" in await link.execute("CLIENT", "INFO")
    async with linked(own_redis.url.replace("unix://", "unix://:wrong@")) as link:
        assert not await link.wait_connected(0.2)


async def test_tcp_and_tls(shared_redis: RedisServer) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with listening(relay_to(shared_redis)) as port, linked(f"redis://127.0.0.1:{port}/0") as link:
        assert await link.wait_connected(5)
        assert await link.execute("PING") == b"PONG"
    with authority.cert_pem.tempfile() as trusted:
        async with listening(relay_to(shared_redis), tls) as port:
            async with linked(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}") as link:
                assert await link.wait_connected(5)
                assert await link.execute("PING") == b"PONG"
            for options in ("ssl_cert_reqs=none", f"ssl_ca_certs={trusted}&ssl_check_hostname=false"):
                async with linked(f"rediss://127.0.0.1:{port}/0?{options}") as link:
                    assert await link.wait_connected(5)
            async with linked(f"rediss://127.0.0.1:{port}/0") as link:
                assert not await link.wait_connected(0.2)


async def test_a_client_certificate(shared_redis: RedisServer) -> None:
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server_tls)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    own = authority.issue_cert("worker.invalid")
    with (
        authority.cert_pem.tempfile() as trusted,
        own.cert_chain_pems[0].tempfile() as certificate,
        own.private_key_pem.tempfile() as key,
    ):
        async with listening(relay_to(shared_redis), server_tls) as port:
            options = f"ssl_ca_certs={trusted}&ssl_certfile={certificate}&ssl_keyfile={key}"
            async with linked(f"rediss://127.0.0.1:{port}/0?{options}") as link:
                assert await link.wait_connected(5)
            async with linked(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}") as link:
                assert not await link.wait_connected(0.2)


@pytest.mark.parametrize("said", [b"%1\r\n*1\r\n:0\r\n:0\r\n", b"%1\r\n%0\r\n:0\r\n", b"nonsense\r\n"])
async def test_a_reply_that_cannot_be_read_ends_the_connection_and_not_the_link(said: bytes) -> None:
    connections = []

    async def speaks_nonsense_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await greet(reader, writer)
        await reader.read(1000)
        writer.write(said if len(connections) == 1 else b"+PONG\r\n")
        await reader.read()
        writer.close()

    async with listening(speaks_nonsense_once) as port, linked(f"redis://127.0.0.1:{port}") as link:
        assert await link.wait_connected(5)
        with pytest.raises(QueueUnavailable):
            await link.execute("PING")
        await wait_until(lambda: link.is_connected)
        assert await link.execute("PING") == b"PONG"


def test_an_address_shows_no_secret() -> None:
    assert "hidden" not in repr(Address.from_url("redis://user:hidden@example.invalid:7000/1"))
    assert repr(Address.from_url("redis://user:hidden@example.invalid:7000/1")) == "example.invalid:7000"


@pytest.mark.parametrize("refusal", ["LOADING Redis is loading", "READONLY You can't", "MASTERDOWN Link with MASTER"])
async def test_a_server_that_takes_no_writes_yet_is_not_connected_until_it_does(refusal: str) -> None:
    connections = []

    async def refuses_at_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read(1000)
        writer.write(b"+OK\r\n")
        await reader.read(1000)
        writer.write(b":0\r\n" if len(connections) > 2 else f"-{refusal}\r\n".encode())
        while await reader.read(1000):
            writer.write(b"$-1\r\n")
        writer.close()

    async with listening(refuses_at_first) as port, linked(f"redis://127.0.0.1:{port}") as link:
        assert await link.wait_connected(5)
        assert len(connections) == 3


async def test_nodes_that_name_one_another_are_given_up() -> None:
    ports: list[int] = []
    left: list[int] = []

    async def names_the_other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = writer.get_extra_info("sockname")[1]
        await reader.read(1000)
        writer.write(b"+OK\r\n")
        await reader.read(1000)
        writer.write(f"-MOVED 7 127.0.0.1:{next(port for port in ports if port != own)}\r\n".encode())
        await reader.read()
        writer.close()
        left.append(own)

    async with listening(names_the_other) as one, listening(names_the_other) as other:
        ports += [one, other]
        with pytest.raises(QueueUnavailable, match="name one another"):
            await Master.from_url(f"redis+cluster://127.0.0.1:{one}", Keys("test")).connect("test", 30.0)
        await wait_until(lambda: left == [one, other, one, other])
