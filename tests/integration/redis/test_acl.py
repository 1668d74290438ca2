"""Redis as it is deployed: TLS only, and a user who may do what workers and batchers do and nothing else.

Without TLS where the server was built without it, but for the one test of TLS itself.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest
from redis import Redis as Client
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from autobatch_shared.contract.keys import Keys
from tests.support.fake_upstream import FakeUpstream, Gate, vector
from tests.support.house import House, ready_house
from tests.support.servers.locked_redis import DEPLOYED, PASSWORD, LockedRedis
from tests.support.waiting import wait_until

KEYS = Keys("test")
REFUSED = r"(?i)no permissions|can't|not allowed"  # Redis writes a small n, Valkey a large one
FORBIDDEN = [
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "DEBUG SLEEP 0",
    "ACL WHOAMI",
    "ACL LIST",
    "ACL SETUSER autobatch +@all",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "MONITOR",
    "INFO",
    "SHUTDOWN NOSAVE",
    "SAVE",
    "REPLICAOF 127.0.0.1 1",
    "MODULE LIST",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "PUBLISH channel text",
    "SUBSCRIBE channel",
    "MIGRATE 127.0.0.1 1 x 0 1",
    "RENAME {test}:jobs {test}:other",
    "LINDEX {test}:jobs 0",
]
FOREIGN = [
    "GET other",
    "SET other x",
    "DEL other",
    "GET {autobatch}:epoch",
    "SET {tester}:epoch x",
    "LPUSH test:jobs x",
    "MGET {test}:reply:a.1 other",
    "BLMPOP 0.01 1 other LEFT",
    "EVAL return{redis.call('GET',KEYS[1])} 1 other",
    "EVAL return{redis.call('GET','other')} 0",
    "EVAL return{redis.call('KEYS','*')} 0",
    "EVAL return{redis.call('CONFIG','GET','*')} 0",
]


@pytest.fixture
async def user(locked_redis: LockedRedis) -> AsyncIterator[Redis]:
    """What an attacker has who knows the password of the workers."""
    async with Redis.from_url(locked_redis.url) as redis:
        yield redis


async def ask(redis: Redis, command: str) -> object:
    return await redis.execute_command(*command.split())  # type: ignore[no-untyped-call]


async def test_a_whole_house_is_never_refused(locked_redis: LockedRedis, upstream: FakeUpstream) -> None:
    """Single requests, lists, bulk ones, the cache, a client that leaves, an input that fails, metrics and health."""
    texts = [f"text {number}" for number in range(150)]
    proxy = {"cache_ttl_s": 60, "namespace": "test"}
    async with ready_house(locked_redis.url, upstream.url, proxy=proxy, namespace="test") as house:
        await wait_until(house.knows_the_model)
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
        assert (200, [vector(text) for text in texts]) == await house.embed(texts)
        assert (200, [vector("slow")]) == await house.embed("slow", {"x-priority": "bulk"})
        assert (await house.embed("poison"))[0] == 422
        calls = len(upstream.calls)
        await wait_until(lambda: is_cached(locked_redis, 151))
        assert (200, [vector("slow")]) == await house.embed("slow")
        assert len(upstream.calls) == calls
        await leave(house, upstream)
        assert "autobatch_cache_hits_total" in await house.metrics()
        assert await house.is_healthy()
    assert locked_redis.refused() == []
    async with Redis.from_url(locked_redis.admin_url) as admin:
        assert all([name.startswith(b"{test}:") async for name in admin.scan_iter()])


async def is_cached(locked_redis: LockedRedis, rows: int) -> bool:
    async with Redis.from_url(locked_redis.admin_url) as admin:
        return int(await admin.zcard(KEYS.cache_index)) >= rows


async def leave(house: House, upstream: FakeUpstream) -> None:
    """Ask, and go before there is an answer; some are in a call by then, and some wait."""
    gate = Gate()
    upstream.behave = gate
    asking = [asyncio.create_task(house.embed(f"left {number}")) for number in range(150)]
    await wait_until(lambda: house.holds(150))
    for each in asking:
        each.cancel()
    await asyncio.wait(asking)
    await wait_until(lambda: house.holds(0))
    gate.opened.set()
    upstream.behave = None


@pytest.mark.parametrize("command", FORBIDDEN)
async def test_what_no_worker_needs_is_refused(user: Redis, command: str) -> None:
    with pytest.raises(ResponseError, match=REFUSED):
        await ask(user, command)


@pytest.mark.parametrize("command", FOREIGN)
async def test_other_keys_are_out_of_reach(user: Redis, command: str) -> None:
    with pytest.raises(ResponseError, match=REFUSED):
        await ask(user, command)


@pytest.mark.parametrize(
    ("name", "password"), [("autobatch", "wrong"), ("default", ""), ("default", PASSWORD), ("nobody", PASSWORD)]
)
def test_nobody_else_gets_in(locked_redis: LockedRedis, name: str, password: str) -> None:
    with Client.from_url(locked_redis.url_of(name, password)) as redis:
        with pytest.raises(AuthenticationError):
            redis.ping()


def test_nobody_gets_in_without_a_name(locked_redis: LockedRedis) -> None:
    with Client.from_url(locked_redis.url.replace(f"autobatch:{PASSWORD}@", "")) as redis:
        with pytest.raises(AuthenticationError):
            redis.ping()


def test_nobody_gets_in_without_tls(locked_redis: LockedRedis) -> None:
    if not locked_redis.has_tls:
        pytest.skip("this Redis was built without TLS")
    plain = locked_redis.url.replace("rediss://", "redis://").partition("?")[0]
    with Client.from_url(plain) as redis:
        with pytest.raises(RedisError):
            redis.ping()


def test_the_password_is_nowhere_in_the_server(locked_redis: LockedRedis) -> None:
    """Not among its arguments, its variables, its users nor its output."""
    process = Path("/proc") / str(locked_redis.pid)
    seen = [process / "cmdline", process / "environ", locked_redis.output.with_name("users.acl"), locked_redis.output]
    assert not any(PASSWORD.encode() in path.read_bytes() for path in seen)


def test_whatever_a_script_issues_is_allowed() -> None:
    """So that a path which no test takes does not meet a refusal in production."""
    allowed = set(re.findall(r"\+([a-z|]+)", (DEPLOYED / "users.acl").read_text()))
    scripts = [
        each.read_text() for each in files("autobatch_shared.redis.scripts").iterdir() if each.name.endswith(".lua")
    ]
    issued = {name.lower() for script in scripts for name in re.findall(r"redis\.p?call\('(\w+)'", script)}
    assert len(issued) > 20
    assert issued - allowed == set()
