"""What is seen of a real Redis before anything relies on it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import hiredis
import pytest
from redis import Redis

from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.inspection import inspect_redis, needed_commands, read_fleet
from tests.support.servers.locked_redis import DEPLOYED, LockedRedis
from tests.support.servers.redis_server import RedisServer

KEYS = Keys("test")
LIMIT_S = 30.0
#: What a connection begins with, and what stands around a transaction.
ENTRY = {"auth", "hello", "select", "multi", "exec"}


async def test_a_server_says_what_it_is_and_refuses_nothing(redis_url: str) -> None:
    seen = await inspect_redis(Address.from_url(redis_url), KEYS, LIMIT_S)

    assert re.match(r"\d+\.\d+", seen.version)
    assert (seen.refusal, seen.role, seen.mode, seen.refused) == ("", "master", "standalone", ())
    assert (seen.memory_max_bytes, seen.eviction_policy) == (0, "noeviction")
    assert seen.memory_used_bytes is not None
    assert seen.memory_used_bytes > 100_000


async def test_looking_leaves_no_key(redis_url: str) -> None:
    """In a namespace of its own: a connection that another test has closed may have left a command behind."""
    await inspect_redis(Address.from_url(redis_url), Keys("looked-at"), LIMIT_S)

    with Redis.from_url(redis_url) as redis:
        assert redis.keys("*looked-at*") == []


async def test_the_deployed_user_may_do_all_that_is_needed(locked_redis: LockedRedis) -> None:
    seen = await inspect_redis(Address.from_url(locked_redis.url), KEYS, LIMIT_S)

    assert (seen.refusal, seen.refused) == ("", ())
    assert seen.memory_max_bytes is None, "it may not ask, and that is no fault"


async def test_the_deployed_user_may_read_what_batchers_report(locked_redis: LockedRedis) -> None:
    fleet = await read_fleet(Address.from_url(locked_redis.url), KEYS, LIMIT_S)

    assert (fleet.batchers, fleet.model) == ((), None)


async def test_keys_of_another_namespace_are_refused(locked_redis: LockedRedis) -> None:
    seen = await inspect_redis(Address.from_url(locked_redis.url), Keys("other"), LIMIT_S)

    assert {"get", "rpush", "blmpop", "evalsha"} <= set(seen.refused)


async def test_a_wrong_password_is_answered_in_redis_own_words(locked_redis: LockedRedis) -> None:
    seen = await inspect_redis(Address.from_url(locked_redis.url_of("autobatch", "wrong")), KEYS, LIMIT_S)

    assert seen.refusal.startswith("WRONGPASS")


async def test_a_missing_password_is_answered_in_redis_own_words(own_redis: RedisServer) -> None:
    own_redis.start("--requirepass", "secret")

    seen = await inspect_redis(Address.from_url(own_redis.url), KEYS, LIMIT_S)

    assert seen.refusal.startswith("NOAUTH")


async def test_a_replica_is_seen(own_redis: RedisServer, unused_port: int) -> None:
    own_redis.start("--replicaof", "127.0.0.1", str(unused_port))

    seen = await inspect_redis(Address.from_url(own_redis.url), KEYS, LIMIT_S)

    assert (seen.role, seen.refused) == ("replica", ())


@pytest.mark.parametrize(
    ("options", "refusal"),
    [(("--maxmemory", "100kb"), "OOM "), (("--min-replicas-to-write", "1"), "NOREPLICAS ")],
    ids=["its memory is full", "without its replicas"],
)
async def test_a_server_that_takes_no_writes_is_seen(
    own_redis: RedisServer, options: tuple[str, ...], refusal: str
) -> None:
    """It answers PING, and lets commands into a transaction or not, as it likes: only a write shows it."""
    own_redis.start(*options)

    seen = await inspect_redis(Address.from_url(own_redis.url), KEYS, LIMIT_S)

    assert seen.refusal.startswith(refusal)


async def test_nothing_is_written_into_a_database_that_was_not_chosen(own_redis: RedisServer) -> None:
    own_redis.start("--databases", "1")

    seen = await inspect_redis(Address.from_url(f"{own_redis.url}?db=1"), KEYS, LIMIT_S)

    assert "out of range" in seen.refusal
    with Redis.from_url(own_redis.url) as redis:
        assert redis.info("commandstats").get("cmdstat_set") is None


async def test_a_live_namespace_is_left_as_it_is_where_this_user_may_open_no_transaction(
    own_redis: RedisServer,
) -> None:
    """Commands that are asked for inside a transaction are executed where none was opened."""
    own_redis.start("--user", "app", "on", "nopass", "~*", "+@read", "+@write")
    with Redis.from_url(own_redis.url) as redis:
        redis.set(KEYS.epoch, "live")

        seen = await inspect_redis(Address.from_url(as_app(own_redis.url)), KEYS, LIMIT_S)

        assert (seen.refusal, seen.refused) == ("", ("eval", "evalsha", "exec", "multi"))
        assert redis.get(KEYS.epoch) == b"live"


async def test_a_user_who_may_begin_a_transaction_and_not_end_it_is_seen(own_redis: RedisServer) -> None:
    own_redis.start("--user", "app", "on", "nopass", "~*", "&*", "+@all", "-exec")

    seen = await inspect_redis(Address.from_url(as_app(own_redis.url)), KEYS, LIMIT_S)

    assert (seen.refusal, seen.refused) == ("", ("exec",))


async def test_no_key_is_written_into_another_database_than_this_user_may_choose(own_redis: RedisServer) -> None:
    own_redis.start("--user", "app", "on", "nopass", "~*", "+@all", "-select")

    seen = await inspect_redis(Address.from_url(f"{as_app(own_redis.url)}?db=1"), KEYS, LIMIT_S)

    assert seen.refused == ("select",)
    with Redis.from_url(own_redis.url) as redis:
        assert redis.info("commandstats").get("cmdstat_set") is None


@pytest.mark.parametrize("renamed", [("eval", "evalsha"), ("multi",), ("exec",)])
async def test_commands_that_the_server_does_not_have_are_seen(
    own_redis: RedisServer, renamed: tuple[str, ...]
) -> None:
    own_redis.start(*(word for name in renamed for word in ("--rename-command", name, "")))

    seen = await inspect_redis(Address.from_url(own_redis.url), KEYS, LIMIT_S)

    assert (seen.unknown, seen.refused) == (renamed, ())


async def test_a_server_that_runs_no_scripts_is_seen_though_it_takes_them_into_a_transaction(
    redis_url: str,
) -> None:
    async with without_scripts(redis_url) as url:
        seen = await inspect_redis(Address.from_url(url), KEYS, LIMIT_S)

    assert (seen.refusal, seen.refused, seen.unknown) == ("", (), ())
    assert seen.script_refusal == "ERR Lua is disabled"


async def test_a_policy_that_evicts_is_seen(own_redis: RedisServer) -> None:
    own_redis.start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")

    seen = await inspect_redis(Address.from_url(own_redis.url), KEYS, LIMIT_S)

    assert (seen.memory_max_bytes, seen.eviction_policy) == (100 << 20, "allkeys-lru")


def test_every_command_of_the_deployed_user_is_tried() -> None:
    """A command that the scripts gain is asked for before the start, too."""
    rules = (DEPLOYED / "users.acl").read_text().partition("user autobatch")[2]
    assert set(re.findall(r"\+([a-z|]+)", rules)) - ENTRY == set(needed_commands(KEYS))


@asynccontextmanager
async def without_scripts(url: str) -> AsyncIterator[str]:
    """Return the URL of a server like this one, which has Lua disabled and finds out when it is to run a script."""
    there = Address.from_url(url)
    disabled = hiredis.pack_command(("EVAL", "return redis.error_reply('ERR Lua is disabled')", "0"))  # type: ignore[arg-type]

    async def serve(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(there.path)
        answering = asyncio.create_task(_copy(from_server, to_client))
        commands, is_queueing = hiredis.Reader(), False
        while data := await from_client.read(65_536):
            commands.feed(data)
            while command := commands.gets():
                is_queueing |= command[0] == b"MULTI"
                is_script = command[0] in (b"EVAL", b"EVALSHA") and not is_queueing
                to_server.write(disabled if is_script else hiredis.pack_command(tuple(command)))
        to_server.close()
        await answering

    with TemporaryDirectory(prefix="ab-") as folder:
        path = f"{folder}/redis.sock"
        async with await asyncio.start_unix_server(serve, path):
            yield f"unix://{path}"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


def as_app(url: str) -> str:
    """Return the URL of the user `app`."""
    return url.replace("://", "://app:any@")
