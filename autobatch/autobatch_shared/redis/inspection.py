"""Look at a Redis before anything relies on it: what it is, whether it lets us in, whether we may do what we must, and who works there.

Permissions are asked for by commands that are queued in a transaction which is never executed. One key of our own is written and
unlinked: a Redis whose memory is full or whose replicas are missing answers everything else. A script that reads and writes nothing is run:
a server that has Lua disabled may take scripts into a transaction all the same.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

import hiredis

from autobatch_shared.contract.keys import PREFLIGHT_TTL_MS, Keys
from autobatch_shared.contract.models import decode_model
from autobatch_shared.contract.status import Fleet
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.clock import unix_ms
from autobatch_shared.redis.commands import ELSEWHERE, Command, all_of, expected_shape, reply_error

READ_BYTES = 65_536
NAME = "autobatch-preflight"
HANDSHAKE_SHARE = 0.8  # of the time for an answer: less than all of it, so that the two can be told apart
VALUE_MAX_NAME = "proto-max-bulk-len"
SCRIPT = "return 1"
ABORTED = "EXECABORT Transaction discarded because of: "  # stands before why EXEC itself is refused


@dataclass(frozen=True, slots=True)
class RedisSeen:
    """What a server said of itself, and what it refused.

    Attributes:
        refusal: Its error to who we are, what we ask or what we write, such as `WRONGPASS ...` or `OOM ...`; empty: none.
        server: Its name in lower case, such as `redis` or `valkey`; empty: it did not say.
        version: Such as `7.0.15`.
        role: `master` or `replica`.
        mode: `standalone`, `cluster` or `sentinel`.
        refused: The commands that this user may not use on our keys, as `acl.users` names them.
        unknown: The commands that it does not have: it is too old, or they are renamed.
        memory_max_bytes: Its `maxmemory`, 0: no limit; None: we may not ask.
        memory_used_bytes: What of it is used; None: we may not ask.
        eviction_policy: Its `maxmemory-policy`; empty: we may not ask.
        value_bytes_max: Its `proto-max-bulk-len`; None: we may not ask.
        script_refusal: Its error to a script that this user may run; empty: none.
    """

    refusal: str = ""
    server: str = ""
    version: str = ""
    role: str = ""
    mode: str = ""
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    memory_max_bytes: int | None = None
    memory_used_bytes: int | None = None
    eviction_policy: str = ""
    value_bytes_max: int | None = None
    script_refusal: str = ""


async def inspect_redis(address: Address, keys: Keys, limit_s: float) -> RedisSeen:
    """Ask one server, and close the connection.

    Raises:
        OSError, EOFError: It cannot be reached, or does not answer within `limit_s` seconds.
        hiredis.HiredisError, QueueUnavailable: Its answer is not Redis's protocol, or not what was asked for.
    """
    async with _dialogue(address, limit_s) as dialogue:
        with expected_shape:
            return await _inspect(dialogue, address, keys)


async def read_fleet(address: Address, keys: Keys, limit_s: float) -> Fleet:
    """Return the batchers of a model that reported lately to one server, and its record of the model.

    Raises:
        OSError, EOFError: It cannot be reached, or does not answer within `limit_s` seconds.
        hiredis.HiredisError, QueueUnavailable: It refuses, or its answer is not what was asked for.
    """
    asked: list[Command] = [("TIME",), ("HGETALL", keys.batchers), ("GET", keys.model)]
    async with _dialogue(address, limit_s) as dialogue:
        *entered, time, reports, model = await dialogue.ask([*_entry(address), ("SELECT", address.db), *asked])
    for reply in (*entered, time, reports, model):
        if isinstance(reply, Exception):
            raise reply_error(reply)
    with expected_shape:
        return Fleet(all_of(bytes, reports[1::2]), int(unix_ms(time)), decode_model(model))


@asynccontextmanager
async def _dialogue(address: Address, limit_s: float) -> AsyncIterator["_Dialogue"]:
    """A connection that is closed at the end, all of it within `limit_s` seconds."""
    async with asyncio.timeout(limit_s):
        if address.path:
            reader, writer = await asyncio.open_unix_connection(address.path)
        else:
            handshake_limit_s = limit_s * HANDSHAKE_SHARE if address.tls else None
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=address.tls_context(), ssl_handshake_timeout=handshake_limit_s
            )
        try:
            yield _Dialogue(reader, writer)
        finally:
            writer.transport.abort()


async def _inspect(dialogue: "_Dialogue", address: Address, keys: Keys) -> RedisSeen:
    replies = await dialogue.ask(_entry(address))
    if refusal := next((str(reply) for reply in replies if isinstance(reply, Exception)), ""):
        return RedisSeen(refusal)
    hello = replies[-1]
    said = {_text(name): _text(value) for name, value in zip(hello[::2], hello[1::2], strict=False)}
    selected, found, memory, value_max = await dialogue.ask(
        [("SELECT", address.db), ("EXISTS", keys.epoch), ("INFO", "memory"), ("CONFIG", "GET", VALUE_MAX_NAME)]
    )
    refusal = _refusal(selected, found)
    if not refusal and not (address.db and isinstance(selected, Exception)):  # else it might be another database
        written, _ = await dialogue.ask(
            [("SET", keys.preflight, "", "PX", PREFLIGHT_TTL_MS), ("UNLINK", keys.preflight)]
        )
        refusal = _refusal(written)
    asked = {"select": selected} if address.db else {}
    scripts = dict(zip(("eval", "evalsha"), await dialogue.ask(_script(keys)), strict=True))
    asked |= scripts
    asked["exec"], asked["multi"] = await dialogue.ask([("EXEC",), ("MULTI",)])  # there is nothing yet to be executed
    if not isinstance(asked["multi"], Exception):  # else they would be executed
        needed = needed_commands(keys)
        asked |= zip(needed, await dialogue.ask([*needed.values()]), strict=True)
    memory_max, memory_used, policy = _memory(memory)
    return RedisSeen(
        refusal=refusal,
        server=said.get("server", ""),
        version=said.get("version", ""),
        role=said.get("role", ""),
        mode=said.get("mode", ""),
        refused=tuple(name for name, reply in asked.items() if _says(reply, "NOPERM")),
        unknown=tuple(name for name, reply in asked.items() if _says(reply, "ERR unknown command")),
        memory_max_bytes=memory_max,
        memory_used_bytes=memory_used,
        eviction_policy=policy,
        value_bytes_max=_number_in(value_max),
        script_refusal=next((str(reply) for reply in scripts.values() if _is_broken(reply)), ""),
    )


def _script(keys: Keys) -> list[Command]:
    """The smallest script, whole and by its hash; the key decides which node of a cluster runs it."""
    by_hash = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
    return [("EVAL", SCRIPT, 1, keys.epoch), ("EVALSHA", by_hash, 1, keys.epoch)]


def _is_broken(reply: object) -> bool:
    """Whether a script failed for a reason that no other reply says; one whose hash is not known is sent whole."""
    return isinstance(reply, Exception) and not str(reply).startswith(
        ("NOPERM", "ERR unknown command", "NOSCRIPT", *ELSEWHERE)
    )


def _entry(address: Address) -> list[Command]:
    """What a connection begins with."""
    user = (address.username,) if address.username else ()
    return [*([("AUTH", *user, address.password)] if address.password is not None else []), ("HELLO", 2)]


def needed_commands(keys: Keys) -> dict[str, Command]:
    """Return an example of each command that workers and batchers send, by its name in `deploy/redis/users.acl`."""
    key = keys.epoch
    return {
        "ping": ("PING",),
        "time": ("TIME",),
        "client|setname": ("CLIENT", "SETNAME", NAME),
        "eval": ("EVAL", SCRIPT, 1, key),
        "evalsha": ("EVALSHA", "0" * 40, 1, key),
        "get": ("GET", key),
        "mget": ("MGET", key),
        "set": ("SET", key, ""),
        "strlen": ("STRLEN", key),
        "incrby": ("INCRBY", key, 1),
        "exists": ("EXISTS", key),
        "del": ("DEL", key),
        "unlink": ("UNLINK", key),
        "pexpire": ("PEXPIRE", key, 1),
        "pttl": ("PTTL", key),
        "rpush": ("RPUSH", key, ""),
        "lpush": ("LPUSH", key, ""),
        "lpop": ("LPOP", key),
        "blmpop": ("BLMPOP", 1, 1, key, "LEFT"),
        "blmove": ("BLMOVE", key, key, "LEFT", "LEFT", 1),
        "llen": ("LLEN", key),
        "lrange": ("LRANGE", key, 0, 0),
        "ltrim": ("LTRIM", key, 0, 0),
        "hset": ("HSET", key, "", ""),
        "hdel": ("HDEL", key, ""),
        "hexists": ("HEXISTS", key, ""),
        "hgetall": ("HGETALL", key),
        "hlen": ("HLEN", key),
        "zadd": ("ZADD", key, 0, ""),
        "zrem": ("ZREM", key, ""),
        "zcard": ("ZCARD", key),
        "zscore": ("ZSCORE", key, ""),
        "zrange": ("ZRANGE", key, 0, 0),
        "zrangebyscore": ("ZRANGEBYSCORE", key, 0, 0),
    }


def _refusal(*replies: object) -> str:
    """The first error; NOPERM is said by each needed command, and READONLY by the role."""
    errors = (str(reply) for reply in replies if isinstance(reply, Exception))
    return next((error for error in errors if not error.startswith(("NOPERM", "READONLY"))), "")


def _says(reply: object, error: str) -> bool:
    return isinstance(reply, Exception) and str(reply).removeprefix(ABORTED).startswith(error)


def _memory(info: object) -> tuple[int | None, int | None, str]:
    """`maxmemory`, how much is used and its policy, of `INFO memory`."""
    lines = _text(info).splitlines() if isinstance(info, bytes) else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    size, used = (int(fields[name]) if name in fields else None for name in ("maxmemory", "used_memory"))
    return size, used, fields.get("maxmemory_policy", "")


def _number_in(config: object) -> int | None:
    """The value of a name and its value, as `CONFIG GET` lists them; None of a refusal."""
    return int(config[1]) if isinstance(config, list) and len(config) == 2 and config[1].isdigit() else None


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


class _Dialogue:
    """Commands and their replies, errors as values."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._replies = hiredis.Reader()

    async def ask(self, commands: list[Command]) -> list[Any]:
        """Send them in one write; return as many replies."""
        self._writer.write(b"".join(hiredis.pack_command(command) for command in commands))  # type: ignore[arg-type]
        replies: list[Any] = []
        while len(replies) < len(commands):
            reply = self._replies.gets()
            if reply is not False:
                replies.append(reply)
                continue
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise EOFError
            self._replies.feed(data)
        return replies
