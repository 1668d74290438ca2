"""The links of one process are all with one master, also while two servers take writes; and Sentinels that disagree or fail."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.masters.sentinel import ANSWER_MAX_S, Sentinels
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

KEYS = Keys("test")
NAMED = b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n%d\r\n"
UNKNOWN = b"*-1\r\n"


class Pointing:
    """Names what the test says."""

    def __init__(self, addresses: Sequence[Address], look_every_s: float | None = None) -> None:
        self.addresses = addresses
        self.look_every_s = look_every_s

    @classmethod
    def from_url(cls, url: str) -> "Pointing":
        return cls([Address.from_url(url)])

    async def candidates(self, _last: Address | None) -> Sequence[Address]:
        return self.addresses

    async def close(self) -> None:
        """Return at once."""


@pytest.fixture
def servers() -> Iterator[list[RedisServer]]:
    """Two servers that both take writes."""
    with TemporaryDirectory(prefix="ab-") as one, TemporaryDirectory(prefix="ab-") as other:
        both = [RedisServer(Path(one)), RedisServer(Path(other))]
        for server in both:
            server.start()
        yield both
        for server in both:
            server.kill()


@pytest.fixture
def addresses(servers: list[RedisServer]) -> list[Address]:
    return [Address.from_url(server.url) for server in servers]


@asynccontextmanager
async def two_links(master: Master) -> AsyncIterator[list[RedisLink]]:
    async with AsyncExitStack() as stack:
        links = [RedisLink(master, name) for name in ("one", "other")]
        for link in links:
            stack.push_async_callback(link.close)
        yield links


async def place_of(link: RedisLink) -> str:
    try:
        return str((await link.execute("CONFIG", "GET", "unixsocket"))[1].decode())
    except QueueUnavailable:
        return ""


async def test_links_that_one_address_led_to_two_servers_meet_again(servers: list[RedisServer], tmp_path: Path) -> None:
    """Both servers take writes, and no connection breaks but one."""
    address = tmp_path / "redis.sock"
    address.symlink_to(servers[0].socket)
    async with two_links(Master.from_url(f"unix://{address}", KEYS)) as links:
        for link in links:
            link.start()
            assert await link.wait_connected(60)
        assert [str(servers[0].socket)] * 2 == [await place_of(link) for link in links]
        address.unlink()
        address.symlink_to(servers[1].socket)
        with suppress(QueueUnavailable):
            await links[0].execute("CLIENT", "KILL", "ID", await links[0].execute("CLIENT", "ID"), "SKIPME", "no")

        async def are_together() -> bool:
            return [str(servers[1].socket)] * 2 == [await place_of(link) for link in links]

        await wait_until(are_together)


async def test_a_link_that_finds_another_master_brings_the_others_along(addresses: list[Address]) -> None:
    finder = Pointing(addresses[:1])
    async with two_links(Master(finder, KEYS)) as links:
        links[0].start()
        assert await links[0].wait_connected(60)
        finder.addresses = addresses[1:]
        links[1].start()

        async def are_both_there() -> bool:
            return [await place_of(link) for link in links] == [repr(addresses[1])] * 2

        await wait_until(are_both_there)


async def test_a_master_that_is_not_named_any_more_is_left_though_it_takes_writes(addresses: list[Address]) -> None:
    finder = Pointing(addresses[:1], look_every_s=0.01)
    async with two_links(Master(finder, KEYS)) as links:
        for link in links:
            link.start()
            assert await link.wait_connected(60)
        finder.addresses = addresses[::-1]

        async def are_both_there() -> bool:
            return [await place_of(link) for link in links] == [repr(addresses[1])] * 2

        await wait_until(are_both_there)


async def test_a_dead_master_that_is_still_named_first_does_not_end_the_sessions_with_the_new_one(
    servers: list[RedisServer], addresses: list[Address]
) -> None:
    """Right after a failover most Sentinels name the dead one."""
    servers[0].kill()
    looks: list[bool] = []

    class Counting(Pointing):
        async def candidates(self, last: Address | None) -> Sequence[Address]:
            looks.append(True)
            return await super().candidates(last)

    async with two_links(Master(Counting(addresses, look_every_s=0.01), KEYS)) as (link, _):
        link.start()
        assert await link.wait_connected(60)
        first = await link.execute("CLIENT", "ID")
        seen = len(looks)
        await wait_until(lambda: len(looks) > seen + 3)
        assert await link.execute("CLIENT", "ID") == first


class FakeSentinel:
    """Answers each question with the same reply; None: never."""

    def __init__(self, reply: bytes | None) -> None:
        self._reply = reply
        self.connections = 0
        self.ended = 0
        self.questions = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError):
            await reader.read(1000)
            writer.write(b"+OK\r\n")
            while await reader.read(1000):
                self.questions += 1
                if self._reply is not None:
                    writer.write(self._reply)
        writer.close()
        self.ended += 1


@asynccontextmanager
async def sentinels(*fakes: FakeSentinel) -> AsyncIterator[Sentinels]:
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(await asyncio.start_server(fake.serve, "127.0.0.1", 0)) for fake in fakes
        ]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        finder = Sentinels.from_url(f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/queue")
        yield finder
        await finder.close()
        await wait_until(lambda: all(fake.ended == fake.connections for fake in fakes))


def ports_of(addresses: Sequence[Address]) -> list[int]:
    return [address.port for address in addresses]


async def test_what_most_sentinels_name_comes_first_and_what_one_names_is_a_candidate() -> None:
    async with sentinels(*(FakeSentinel(NAMED % port) for port in (7001, 7002, 7002))) as finder:
        assert ports_of(await finder.candidates(None)) == [7002, 7001]


async def test_a_sentinel_that_says_nothing_holds_up_the_others_for_half_a_second_at_most() -> None:
    silent, answering = FakeSentinel(None), FakeSentinel(NAMED % 7001)
    async with sentinels(silent, answering) as finder:
        async with asyncio.timeout(20 * ANSWER_MAX_S):
            assert ports_of(await finder.candidates(None)) == [7001]


@pytest.mark.parametrize("reply", [UNKNOWN, b"-IDONTKNOW\r\n", b":1\r\n", b"*2\r\n:1\r\n:2\r\n", b"HTTP/1.1 400\r\n"])
async def test_a_reply_that_names_nothing_is_none(reply: bytes) -> None:
    async with sentinels(FakeSentinel(reply)) as finder:
        with pytest.raises(QueueUnavailable, match="No Sentinel names a master of queue"):
            await finder.candidates(None)


async def test_a_connection_to_a_sentinel_is_used_again_and_looks_at_once_are_one() -> None:
    fake = FakeSentinel(NAMED % 7001)
    async with sentinels(fake) as finder:
        await asyncio.gather(*(finder.candidates(None) for _ in range(5)))
        await finder.candidates(None)
    assert (fake.connections, fake.questions) == (1, 2)
