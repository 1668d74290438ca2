"""The master moves, by plan or by death: every finder leads all links of a process to the server that takes writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, ready_house
from tests.support.servers.masters import GROUPS, AsCluster, ServerGroup, make_group
from tests.support.waiting import wait_until

KEYS = Keys("test")
KEY = f"{KEYS.prefix}kept"


@dataclass
class Linked:
    """Servers, and two links of one process: one for commands that return at once, one that blocks."""

    group: ServerGroup
    link: RedisLink
    blocking: RedisLink

    async def takes_writes(self) -> bool:
        """Whether a write passes; it fails with the one error, or not at all."""
        try:
            return bool(await self.link.execute("SET", KEY, "kept", "PX", 60_000) == b"OK")
        except QueueUnavailable:
            return False

    async def are_at_the_master(self) -> bool:
        """Whether both links lead to the server that is the master now."""
        try:
            ports = [await link.execute("CONFIG", "GET", "port") for link in (self.link, self.blocking)]
        except QueueUnavailable:
            return False
        return ports == [[b"port", str(self.group.master.port).encode()]] * 2


@pytest.fixture(params=GROUPS)
async def linked(request: pytest.FixtureRequest) -> AsyncIterator[Linked]:
    with TemporaryDirectory(prefix="ab-") as folder:
        group = make_group(request.param, Path(folder), "test")
        async with AsyncExitStack() as stack:
            stack.push_async_callback(group.close)
            await group.start()
            master = Master.from_url(group.url, KEYS)
            links = [RedisLink(master, name) for name in ("commands", "blocking")]
            for link in links:
                link.start()
                stack.push_async_callback(link.close)
                assert await link.wait_connected(60)
            yield Linked(group, *links)


async def test_the_links_go_to_the_master(linked: Linked) -> None:
    assert await linked.takes_writes()
    assert await linked.are_at_the_master()


async def test_a_planned_switch_is_followed_and_nothing_is_lost(linked: Linked) -> None:
    """The old master stays alive as a replica, or as a node without the slot, and would answer reads for ever."""
    assert await linked.takes_writes()
    await linked.group.switch()
    await wait_until(linked.takes_writes)
    await wait_until(linked.are_at_the_master)
    assert await linked.link.execute("GET", KEY) == b"kept"


async def test_where_only_reads_arrive_the_link_that_blocks_brings_the_others_along(linked: Linked) -> None:
    async def waits_for_ever() -> None:
        while True:
            try:
                await linked.blocking.execute("BLMPOP", "0.2", 1, KEYS.inbox("w"), "LEFT", "COUNT", 1)
            except QueueUnavailable:
                await linked.blocking.wait_connected(60)

    waiting = asyncio.create_task(waits_for_ever())
    await linked.group.switch()
    await wait_until(linked.are_at_the_master)
    waiting.cancel()


async def test_where_only_reads_arrive_a_link_that_connects_anew_brings_the_others_along(linked: Linked) -> None:
    """Its connection broke before it heard that its server is the master no more."""
    former = linked.group.master
    await linked.group.switch()
    for session in former.ask("CLIENT LIST"):
        if session["name"] == "blocking":  # Sentinels end all by themselves
            former.ask("CLIENT KILL", "ID", session["id"])
    await wait_until(linked.are_at_the_master)


async def test_the_death_of_the_master_is_survived(linked: Linked) -> None:
    await linked.group.kill_master()
    await wait_until(linked.takes_writes)
    assert await linked.are_at_the_master()


@asynccontextmanager
async def beside_a_cluster(upstream: FakeUpstream) -> AsyncIterator[tuple[AsCluster, House]]:
    """Yield a cluster, and a house that is ready on it."""
    with TemporaryDirectory(prefix="ab-") as folder:
        cluster = AsCluster(Path(folder), "house")
        try:
            await cluster.start()
            async with ready_house(cluster.url, upstream.url) as house:
                yield cluster, house
        finally:
            await cluster.close()


@pytest.mark.usefixtures("_patient_workers")
async def test_what_comes_while_a_slot_moves_waits_for_its_end(upstream: FakeUpstream) -> None:
    """Its keys are at two nodes then, and a script asks for several."""
    async with beside_a_cluster(upstream) as (cluster, house):
        cluster.begin_move()
        asking = asyncio.create_task(house.embed_each(["one", "two"]))
        await wait_until(lambda: house.holds(2))
        cluster.end_move()
        assert [(200, [vector("one")]), (200, [vector("two")])] == await asking


async def test_where_a_slot_never_arrives_requests_are_refused(upstream: FakeUpstream) -> None:
    async with beside_a_cluster(upstream) as (cluster, house):
        cluster.begin_move()
        unavailable = {"error": "The queue cannot be reached", "error_type": "Unhealthy"}
        assert (503, unavailable) == await house.embed("waits for two seconds")
        cluster.end_move()


async def test_an_address_that_is_a_cluster_node_leads_to_the_node_that_has_the_slot() -> None:
    with TemporaryDirectory(prefix="ab-") as folder:
        cluster = AsCluster(Path(folder), "test")
        async with AsyncExitStack() as stack:
            stack.push_async_callback(cluster.close)
            await cluster.start()
            for url in cluster.urls:
                link = RedisLink(Master.from_url(url, KEYS), "commands")
                link.start()
                stack.push_async_callback(link.close)
                assert await link.wait_connected(60)
                assert await link.execute("CONFIG", "GET", "port") == [b"port", str(cluster.master.port).encode()]
