"""The cache's rows in a real server, and the same in fakeredis."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis

from autobatch_shared.contract.keys import Keys
from autobatch_shared.measuring.count import Count
from autobatch_shared.redis.commands import Commands
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.result_cache import DROPS_MAX, ENTRY_BYTES, CacheCounts, ResultCache, sealed
from tests.conftest import used_cleanly
from tests.integration.fake_commands import FakeCommands
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

KEYS = Keys("test")
ROW_BYTES = 1000  # with its checksum and its entry
ROW = b"x" * (ROW_BYTES - ENTRY_BYTES - 8)


def new_counts() -> CacheCounts:
    return CacheCounts(*(Count() for _ in range(5)))


def totals(cache: ResultCache) -> dict[str, int]:
    """What was counted, by name."""
    named = {field.name: getattr(cache.counts, field.name).total for field in fields(CacheCounts)}
    return {name: total for name, total in named.items() if total}


@dataclass
class Caches:
    """Any number of caches over one Redis."""

    link: Commands
    redis: "Redis | FakeAsyncRedis"

    def cache(self, bytes_max: int = 1_000_000, ttl_s: int = 60) -> ResultCache:
        return ResultCache(self.link, KEYS, new_counts(), ttl_s=ttl_s, bytes_max=bytes_max)

    async def index(self) -> list[str]:
        """What is entered, oldest first."""
        members = await self.link.execute("ZRANGE", KEYS.cache_index, 0, -1)
        return [member.decode() for member in members]

    async def counted(self) -> int:
        return int(await self.redis.get(KEYS.cache_bytes) or 0)

    async def counted_by_hand(self) -> int:
        return sum([int(member.partition(":")[2]) for member in await self.index()])

    async def stored(self) -> set[str]:
        """The names that have a row, entered or not."""
        prefix = KEYS.cached("").encode()
        found = {key.removeprefix(prefix).decode() async for key in self.redis.scan_iter(match=prefix + b"*")}
        return found - {"index", "bytes"}

    async def next_ms(self) -> None:
        """Until Redis's clock has moved on, so that what comes is younger."""
        before = await self.now_ms()

        async def has_moved_on() -> bool:
            return await self.now_ms() > before

        await wait_until(has_moved_on)

    async def now_ms(self) -> int:
        seconds, micros = await self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000


@pytest.fixture(params=["real", "fake"])
async def bench(request: pytest.FixtureRequest, shared_redis: RedisServer) -> AsyncIterator[Caches]:
    if request.param == "fake":
        fake = FakeAsyncRedis(version=(7, 0))
        yield Caches(FakeCommands(fake), fake)
        await fake.aclose()
        return
    async with used_cleanly(shared_redis) as url, AsyncExitStack() as stack:
        link = RedisLink(Master.from_url(url, KEYS), "cache")
        link.start()
        stack.push_async_callback(link.close)
        assert await link.wait_connected(60)
        yield Caches(link, await stack.enter_async_context(Redis.from_url(url)))


def named(number: int) -> str:
    return f"{number:032x}"


async def test_what_was_stored_is_found_by_its_name(bench: Caches) -> None:
    cache = bench.cache()
    await cache.store([(named(1), b"[1.0]"), (named(2), b"[2.0]")])
    assert [b"[2.0]", None, b"[1.0]"] == await cache.look_up([named(2), named(3), named(1)])
    assert {"hits": 2, "misses": 1} == totals(cache)


async def test_what_one_worker_stored_another_one_finds(bench: Caches) -> None:
    await bench.cache().store([(named(1), b"[1.0]")])
    assert [b"[1.0]"] == await bench.cache().look_up([named(1)])


async def test_nothing_to_do_asks_nothing(bench: Caches) -> None:
    cache = bench.cache()
    await cache.store([])
    assert [] == await cache.look_up([])
    assert {} == totals(cache)


async def test_every_key_ends(bench: Caches) -> None:
    await bench.cache(ttl_s=60).store([(named(1), ROW)])
    ttls = [await bench.redis.pttl(key) for key in (KEYS.cached(named(1)), KEYS.cache_index, KEYS.cache_bytes)]
    assert all(50_000 < ttl_ms <= 60_000 for ttl_ms in ttls), ttls


async def test_the_index_outlives_its_rows(bench: Caches) -> None:
    """Or rows would stay that are not counted."""
    cache = bench.cache(ttl_s=60)
    await cache.store([(named(1), ROW)])
    for key in (KEYS.cache_index, KEYS.cache_bytes):
        await bench.redis.pexpire(key, 1000)
    await cache.store([(named(2), ROW)])
    ends = [await bench.redis.pexpiretime(key) for key in (KEYS.cached(named(2)), KEYS.cache_index, KEYS.cache_bytes)]
    assert ends[0] == min(ends)


async def test_the_index_knows_every_row_and_its_bytes(bench: Caches) -> None:
    before_ms = await bench.now_ms()
    await bench.cache().store([(named(1), b"[1.0]"), (named(2), ROW)])
    assert {f"{named(1)}:{8 + 5 + ENTRY_BYTES}", f"{named(2)}:{ROW_BYTES}"} == set(await bench.index())
    assert 8 + 5 + ENTRY_BYTES + ROW_BYTES == await bench.counted()
    scores = [await bench.redis.zscore(KEYS.cache_index, member) for member in await bench.index()]
    assert [pytest.approx(before_ms, abs=5000)] * 2 == scores


async def test_many_rows_stay_within_the_bound(bench: Caches) -> None:
    cache = bench.cache(bytes_max=20 * ROW_BYTES)
    for first in range(0, 200, 8):
        await cache.store([(named(number), ROW) for number in range(first, first + 8)])
        assert await bench.counted() <= 20 * ROW_BYTES
        assert len(await bench.stored()) == len(await bench.index()) <= 20
    assert 20 * ROW_BYTES == await bench.counted() == await bench.counted_by_hand()


async def test_rows_of_all_sizes_stay_within_the_bound(bench: Caches) -> None:
    """A large one takes the place of many small ones at once."""
    cache = bench.cache(bytes_max=100_000)
    await cache.store([(named(number), b"x") for number in range(600)])
    await bench.next_ms()
    await cache.store([(named(1000 + number), b"x" * 6000) for number in range(15)])
    assert 90_000 < await bench.counted() == await bench.counted_by_hand() <= 100_000
    assert {named(1000 + number) for number in range(15)} <= await bench.stored()


async def test_the_oldest_make_room(bench: Caches) -> None:
    cache = bench.cache(bytes_max=20 * ROW_BYTES)
    for number in reversed(range(25)):
        await cache.store([(named(number), ROW)])
        await bench.next_ms()
    assert {named(number) for number in range(20)} == await bench.stored()
    assert totals(cache) == {"evictions": 5}


async def test_a_bound_that_was_lowered_is_reached_step_by_step(bench: Caches) -> None:
    """Dropping a million rows at once would stop the queue for seconds."""
    await bench.cache().store([(named(number), ROW) for number in range(600)])
    await bench.next_ms()
    cache = bench.cache(bytes_max=20 * ROW_BYTES)
    left = []
    for number in range(1000, 1003):
        await cache.store([(named(number), ROW)])
        left.append(len(await bench.stored()))
    assert [601 - DROPS_MAX, 602 - 2 * DROPS_MAX, 20] == left


async def test_a_row_too_large_for_the_bound_pushes_nothing_out(bench: Caches) -> None:
    cache = bench.cache(bytes_max=20 * ROW_BYTES)
    await cache.store([(named(1), ROW), (named(2), b"x" * 10 * ROW_BYTES)])
    await cache.store([(named(3), b"x" * 100 * ROW_BYTES)])
    assert {named(1)} == await bench.stored()


async def test_a_name_stored_twice_is_counted_once(bench: Caches) -> None:
    """Two workers miss the same text at the same time; in another batch a vector may have a digit more."""
    one, other = bench.cache(), bench.cache()
    await one.store([(named(1), b"[1.0]"), (named(1), b"[1.00]")])
    await bench.next_ms()
    await other.store([(named(1), b"[0.99999]")])
    assert [f"{named(1)}:{8 + 5 + ENTRY_BYTES}"] == await bench.index()
    assert 8 + 5 + ENTRY_BYTES == await bench.counted()
    assert [b"[1.0]"] == await other.look_up([named(1)])


async def test_a_name_stored_twice_is_as_old_as_its_row(bench: Caches) -> None:
    """Its TTL began then too: younger in the index, it would be counted when it is gone."""
    cache = bench.cache(bytes_max=20 * ROW_BYTES)
    await cache.store([(named(99), ROW)])
    for number in range(19):
        await bench.next_ms()
        await cache.store([(named(number), ROW)])
    await cache.store([(named(99), ROW)])
    await cache.store([(named(19), ROW)])
    assert {named(number) for number in range(20)} == await bench.stored()


async def test_rows_that_ended_leave_the_index(bench: Caches) -> None:
    """Here one that was stored long ago; Redis deleted its key by itself."""
    cache = bench.cache(ttl_s=60)
    await cache.store([(named(1), ROW), (named(2), ROW)])
    await bench.redis.delete(KEYS.cached(named(1)))
    await bench.redis.zadd(KEYS.cache_index, {f"{named(1)}:{ROW_BYTES}": await bench.now_ms() - 60_001})
    await cache.store([(named(3), ROW)])
    assert {f"{named(2)}:{ROW_BYTES}", f"{named(3)}:{ROW_BYTES}"} == set(await bench.index())
    assert 2 * ROW_BYTES == await bench.counted()


async def test_a_row_ends_with_its_ttl(bench: Caches) -> None:
    cache = bench.cache(ttl_s=1)
    await cache.store([(named(1), ROW)])

    async def is_gone() -> bool:
        return await cache.look_up([named(1)]) == [None]

    await wait_until(is_gone)
    assert 0 == cache.counts.broken.total


async def test_a_broken_value_is_a_miss_and_makes_way(bench: Caches) -> None:
    cache = bench.cache()
    await bench.redis.set(KEYS.cached(named(1)), sealed(named(1), ROW)[:-1], px=10_000)
    await bench.redis.set(KEYS.cached(named(2)), b"foreign", px=10_000)
    await bench.redis.set(KEYS.cached(named(3)), sealed(named(4), ROW), px=10_000)
    await bench.redis.set(KEYS.cached(named(5)), b"", px=10_000)
    await cache.store([(named(6), ROW)])
    names = [named(number) for number in (1, 2, 3, 5, 6, 7)]
    assert [None, None, None, None, ROW, None] == await cache.look_up(names)
    assert {"hits": 1, "misses": 5, "broken": 4} == totals(cache)
    await cache.store([(name, ROW) for name in names])
    assert [ROW] * 6 == await cache.look_up(names)


@pytest.mark.parametrize("lost", [KEYS.cache_index, KEYS.cache_bytes])
async def test_a_lost_index_or_sum_begins_anew(bench: Caches, lost: str) -> None:
    """A Redis short of memory may have evicted it. A wrong sum would be wrong for ever."""
    cache = bench.cache(bytes_max=20 * ROW_BYTES)
    await cache.store([(named(number), ROW) for number in range(10)])
    await bench.redis.delete(lost)
    await cache.store([(named(10), ROW)])
    assert [f"{named(10)}:{ROW_BYTES}"] == await bench.index()
    assert ROW_BYTES == await bench.counted()
    assert [ROW] == await cache.look_up([named(0)])


async def test_scripts_survive_a_flush_of_the_script_cache(bench: Caches) -> None:
    cache = bench.cache()
    await cache.store([(named(1), ROW)])
    await bench.redis.script_flush()
    await cache.store([(named(2), ROW)])
    assert 2 * ROW_BYTES == await bench.counted()


async def test_what_redis_refuses_is_logged_once_and_raises_nothing(
    bench: Caches, caplog: pytest.LogCaptureFixture
) -> None:
    cache = bench.cache()
    await bench.redis.set(KEYS.cache_index, "no zset", px=10_000)
    await bench.redis.set(KEYS.cache_bytes, "0", px=10_000)
    for number in range(3):
        await cache.store([(named(number), ROW)])
        assert [None] == await cache.look_up([named(9)])
    assert [("cache_unavailable", "store")] == logged(caplog)


async def test_without_redis_everything_is_a_miss(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """And once it is back, so is the cache; each outage is logged once."""
    link = RedisLink(Master.from_url(own_redis.url, KEYS), "cache")
    cache = ResultCache(link, KEYS, new_counts(), ttl_s=60, bytes_max=1_000_000)
    link.start()
    try:
        for outage in (1, 2):
            for _ in range(3):
                assert [None, None] == await cache.look_up([named(1), named(2)])
                await cache.store([(named(1), ROW)])
            assert [("cache_unavailable", "look_up"), ("cache_unavailable", "store")] * outage == logged(caplog)
            own_redis.start()
            assert await link.wait_connected(60)
            await cache.store([(named(1), ROW)])
            assert [ROW] == await cache.look_up([named(1)])
            own_redis.kill()
            await wait_until(lambda: not link.is_connected)
    finally:
        await link.close()
    assert {"hits": 2, "misses": 12} == totals(cache)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The cache's log: event and operation."""
    return [
        (record.message, record.__dict__["operation"])
        for record in caplog.records
        if record.name == "autobatch_shared.redis.result_cache" and record.levelno == logging.WARNING
    ]
