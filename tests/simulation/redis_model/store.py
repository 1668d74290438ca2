"""The data of one Redis, and the commands that the queue uses on it. Pure; its clock is passed in.

Replies are RESP2 values: bytes, int, list, None, `Status` and `Refused`. What a command does here is compared with a real
server on the same histories by `test_same_as_redis.py`.
"""

from collections.abc import Callable
from typing import Any

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Status(bytes):
    """A simple string, such as OK."""


class Refused(Exception):
    """An error reply."""


OK = Status(b"OK")


class Store:
    """Keys and their values; a value is bytes, a list, a dict, or a `SortedSet`.

    Attributes:
        pushed: Lists that something was pushed to since it was last cleared: whom to wake.
        wrote: Number of writes, for whoever keeps an older state of the data.

    Args:
        now_ms: Returns this Redis's own clock, unix milliseconds.
    """

    def __init__(self, now_ms: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self.values: dict[bytes, Any] = {}
        self.ends_ms: dict[bytes, float] = {}
        self.pushed: list[bytes] = []
        self.wrote = 0

    def execute(self, name: bytes, args: list[bytes]) -> Any:
        """Execute one command, by its name in capitals.

        Raises:
            Refused: The error reply.
        """
        command = _COMMANDS.get(name)
        if command is None:
            raise Refused(f"ERR unknown command '{name.decode()}'")
        return command(self, *args)

    def copy(self) -> tuple[dict[bytes, Any], dict[bytes, float]]:
        """Return the data as it is now, for `restore`."""
        values = {key: value if isinstance(value, bytes) else value.copy() for key, value in self.values.items()}
        return values, dict(self.ends_ms)

    def restore(self, data: tuple[dict[bytes, Any], dict[bytes, float]]) -> None:
        """Have the data of another moment."""
        self.values, self.ends_ms = data[0], data[1]

    def clear(self) -> None:
        """Lose all data."""
        self.values, self.ends_ms = {}, {}

    def keys(self) -> list[bytes]:
        """Return the keys that live."""
        return [key for key in list(self.values) if self._get(key) is not None]

    def _get(self, key: bytes, kind: type | None = None) -> Any:
        value = self.values.get(key)
        if value is None:
            return None
        if key in self.ends_ms and self.ends_ms[key] <= self._now_ms():
            del self.values[key], self.ends_ms[key]
            return None
        if kind is not None and type(value) is not kind:
            raise Refused(WRONG_TYPE)
        return value

    def _made(self, key: bytes, kind: type) -> Any:
        value = self._get(key, kind)
        if value is None:
            value = self.values[key] = kind()
        self.wrote += 1
        return value

    def _drop(self, key: bytes) -> int:
        had = self._get(key) is not None
        self.values.pop(key, None)
        self.ends_ms.pop(key, None)
        self.wrote += had
        return int(had)

    def _dropped_if_empty(self, key: bytes) -> None:
        if not self.values[key]:
            self._drop(key)

    # Keys and strings

    def delete(self, *keys: bytes) -> int:
        return sum([self._drop(key) for key in keys])

    def exists(self, *keys: bytes) -> int:
        return sum([self._get(key) is not None for key in keys])

    def pexpire(self, key: bytes, life_ms: bytes, *_: bytes) -> int:
        if self._get(key) is None:
            return 0
        if int(life_ms) <= 0:
            return self._drop(key)
        self.ends_ms[key] = self._now_ms() + int(life_ms)
        return 1

    def pttl(self, key: bytes) -> int:
        if self._get(key) is None:
            return -2
        ends_ms = self.ends_ms.get(key)
        return -1 if ends_ms is None else round(ends_ms - self._now_ms())

    def set(self, key: bytes, value: bytes, *options: bytes) -> Any:
        flags = [option.upper() for option in options]
        old = self._get(key)
        gives_old = b"GET" in flags
        if (b"NX" in flags and old is not None) or (b"XX" in flags and old is None):
            return old if gives_old else None
        keeps = self.ends_ms.get(key) if b"KEEPTTL" in flags else None
        self.values[key] = bytes(value)
        self.ends_ms.pop(key, None)
        self.wrote += 1
        if keeps is not None:
            self.ends_ms[key] = keeps
        for unit, factor in ((b"PX", 1), (b"EX", 1000)):
            if unit in flags:
                life = int(options[flags.index(unit) + 1])
                if life <= 0:
                    raise Refused("ERR invalid expire time in 'set' command")
                self.ends_ms[key] = self._now_ms() + life * factor
        return old if gives_old else OK

    def get(self, key: bytes) -> Any:
        return self._get(key, bytes)

    def getdel(self, key: bytes) -> Any:
        value = self._get(key, bytes)
        self._drop(key)
        return value

    def mget(self, *keys: bytes) -> list[Any]:
        values = [self._get(key) for key in keys]
        return [value if isinstance(value, bytes) else None for value in values]

    def strlen(self, key: bytes) -> int:
        return len(self._get(key, bytes) or b"")

    def incrby(self, key: bytes, by: bytes = b"1") -> int:
        total = int(self._get(key, bytes) or 0) + int(by)
        self.values[key] = b"%d" % total
        self.wrote += 1
        return total

    def decrby(self, key: bytes, by: bytes = b"1") -> int:
        return self.incrby(key, b"%d" % -int(by))

    def time(self) -> list[bytes]:
        now_ms = self._now_ms()
        return [b"%d" % (now_ms // 1000), b"%d" % int(now_ms % 1000 * 1000)]

    # Lists

    def rpush(self, key: bytes, *values: bytes) -> int:
        held: list[bytes] = self._made(key, list)
        held.extend(values)
        self.pushed.append(key)
        return len(held)

    def lpush(self, key: bytes, *values: bytes) -> int:
        held: list[bytes] = self._made(key, list)
        for value in values:
            held.insert(0, value)
        self.pushed.append(key)
        return len(held)

    def lpop(self, key: bytes, count: bytes | None = None) -> Any:
        return self._popped(key, count, first=True)

    def rpop(self, key: bytes, count: bytes | None = None) -> Any:
        return self._popped(key, count, first=False)

    def _popped(self, key: bytes, count: bytes | None, *, first: bool) -> Any:
        held = self._get(key, list)
        if held is None:
            return None
        wanted = 1 if count is None else int(count)
        popped = [held.pop(0 if first else -1) for _ in range(min(wanted, len(held)))]
        self.wrote += 1
        self._dropped_if_empty(key)
        return popped[0] if count is None else popped

    def llen(self, key: bytes) -> int:
        return len(self._get(key, list) or ())

    def lindex(self, key: bytes, place: bytes) -> Any:
        held = self._get(key, list) or []
        return held[int(place)] if -len(held) <= int(place) < len(held) else None

    def lrange(self, key: bytes, first: bytes, last: bytes) -> list[bytes]:
        held: list[bytes] = self._get(key, list) or []
        begin, end = _span(int(first), int(last), len(held))
        return held[begin:end]

    def ltrim(self, key: bytes, first: bytes, last: bytes) -> Status:
        held = self._get(key, list)
        if held is not None:
            begin, end = _span(int(first), int(last), len(held))
            held[:] = held[begin:end]
            self.wrote += 1
            self._dropped_if_empty(key)
        return OK

    def lrem(self, key: bytes, count: bytes, value: bytes) -> int:
        held = self._get(key, list)
        if held is None:
            return 0
        wanted, found = int(count), 0
        places = [place for place, each in enumerate(held) if each == value]
        places = places[::-1][: -wanted or None] if wanted < 0 else places[: wanted or None]
        for place in sorted(places, reverse=True):
            del held[place]
            found += 1
        self._dropped_if_empty(key)
        return found

    def lmove(self, source: bytes, target: bytes, take: bytes, put: bytes) -> Any:
        moved = self._popped(source, None, first=take.upper() == b"LEFT")
        if moved is not None:
            (self.lpush if put.upper() == b"LEFT" else self.rpush)(target, moved)
        return moved

    def lmpop(self, _count: bytes, *rest: bytes) -> Any:
        *keys, side, _word, wanted = rest if rest[-2].upper() == b"COUNT" else (*rest, b"COUNT", b"1")
        for key in keys:
            if popped := self._popped(key, wanted, first=side.upper() == b"LEFT"):
                return [key, popped]
        return None

    # Hashes

    def hset(self, key: bytes, *pairs: bytes) -> int:
        held: dict[bytes, bytes] = self._made(key, dict)
        before = len(held)
        held.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(held) - before

    def hsetnx(self, key: bytes, field: bytes, value: bytes) -> int:
        return 0 if field in (self._get(key, dict) or {}) else self.hset(key, field, value)

    def hget(self, key: bytes, field: bytes) -> Any:
        return (self._get(key, dict) or {}).get(field)

    def hmget(self, key: bytes, *fields: bytes) -> list[Any]:
        held = self._get(key, dict) or {}
        return [held.get(field) for field in fields]

    def hexists(self, key: bytes, field: bytes) -> int:
        return int(field in (self._get(key, dict) or {}))

    def hdel(self, key: bytes, *fields: bytes) -> int:
        held = self._get(key, dict)
        if held is None:
            return 0
        gone = sum([held.pop(field, None) is not None for field in fields])
        self.wrote += 1
        self._dropped_if_empty(key)
        return gone

    def hlen(self, key: bytes) -> int:
        return len(self._get(key, dict) or ())

    def hkeys(self, key: bytes) -> list[bytes]:
        return list(self._get(key, dict) or ())

    def hvals(self, key: bytes) -> list[bytes]:
        return list((self._get(key, dict) or {}).values())

    def hgetall(self, key: bytes) -> list[bytes]:
        return [part for pair in (self._get(key, dict) or {}).items() for part in pair]

    def hincrby(self, key: bytes, field: bytes, by: bytes) -> int:
        held = self._made(key, dict)
        total = int(held.get(field, 0)) + int(by)
        held[field] = b"%d" % total
        return total

    # Sorted sets

    def zadd(self, key: bytes, *args: bytes) -> int:
        flags, rest = set(), list(args)
        while rest[0].upper() in (b"NX", b"XX", b"GT", b"LT", b"CH"):
            flags.add(rest.pop(0).upper())
        if b"XX" in flags and self._get(key, SortedSet) is None:
            return 0
        held = self._made(key, SortedSet)
        added = changed = 0
        for score, member in zip(map(float, rest[::2]), rest[1::2], strict=True):
            old = held.get(member)
            if (old is None and b"XX" in flags) or (old is not None and b"NX" in flags):
                continue
            if old is not None and ((b"GT" in flags and score <= old) or (b"LT" in flags and score >= old)):
                continue
            held[member] = score
            added += old is None
            changed += old is None or old != score
        return changed if b"CH" in flags else added

    def zscore(self, key: bytes, member: bytes) -> Any:
        score = (self._get(key, SortedSet) or {}).get(member)
        return None if score is None else _score(score)

    def zcard(self, key: bytes) -> int:
        return len(self._get(key, SortedSet) or ())

    def zcount(self, key: bytes, low: bytes, high: bytes) -> int:
        return len(self._between(key, low, high))

    def zrem(self, key: bytes, *members: bytes) -> int:
        held = self._get(key, SortedSet)
        if held is None:
            return 0
        gone = sum([held.pop(member, None) is not None for member in members])
        self._dropped_if_empty(key)
        return gone

    def zrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> list[bytes]:
        flags = {option.upper() for option in options}
        if b"BYSCORE" in flags:
            found = self._between(key, first, last)
        else:
            found = (self._get(key, SortedSet) or SortedSet()).in_order()
            begin, end = _span(int(first), int(last), len(found))
            found = found[begin:end]
        return _flat(found, with_scores=b"WITHSCORES" in flags)

    def zrangebyscore(self, key: bytes, low: bytes, high: bytes, *options: bytes) -> list[bytes]:
        found = self._between(key, low, high)
        flags = [option.upper() for option in options]
        if b"LIMIT" in flags:
            at = flags.index(b"LIMIT")
            offset, count = int(options[at + 1]), int(options[at + 2])
            found = found[offset : offset + count]
        return _flat(found, with_scores=b"WITHSCORES" in flags)

    def zremrangebyscore(self, key: bytes, low: bytes, high: bytes) -> int:
        found = self._between(key, low, high)
        return self.zrem(key, *[member for _, member in found]) if found else 0

    def _between(self, key: bytes, low: bytes, high: bytes) -> list[tuple[float, bytes]]:
        held = self._get(key, SortedSet)
        if held is None:
            return []
        bounds = [(float(bound.lstrip(b"(")), bound.startswith(b"(")) for bound in (low, high)]
        (least, above), (most, below) = bounds
        return [
            (score, member)
            for score, member in held.in_order()
            if (score > least if above else score >= least) and (score < most if below else score <= most)
        ]


class SortedSet(dict[bytes, float]):
    """Members and their scores."""

    def copy(self) -> "SortedSet":
        """Return another one with the same members."""
        return SortedSet(self)

    def in_order(self) -> list[tuple[float, bytes]]:
        """Return (score, member), the lowest first."""
        return sorted((score, member) for member, score in self.items())


def _flat(found: list[tuple[float, bytes]], *, with_scores: bool) -> list[bytes]:
    if not with_scores:
        return [member for _, member in found]
    return [part for score, member in found for part in (member, _score(score))]


def _score(score: float) -> bytes:
    return b"%d" % score if score == int(score) else repr(score).encode()


def _span(first: int, last: int, length: int) -> tuple[int, int]:
    begin = max(first + length, 0) if first < 0 else first
    end = last + length if last < 0 else last
    return begin, max(end + 1, 0)


_COMMANDS: dict[bytes, Callable[..., Any]] = {
    name.upper().encode(): getattr(Store, name)
    for name in [
        "exists",
        "pexpire",
        "pttl",
        "set",
        "get",
        "getdel",
        "mget",
        "strlen",
        "incrby",
        "decrby",
        "time",
        "rpush",
        "lpush",
        "lpop",
        "rpop",
        "llen",
        "lindex",
        "lrange",
        "ltrim",
        "lrem",
        "lmove",
        "lmpop",
        "hset",
        "hsetnx",
        "hget",
        "hmget",
        "hexists",
        "hdel",
        "hlen",
        "hkeys",
        "hvals",
        "hgetall",
        "hincrby",
        "zadd",
        "zscore",
        "zcard",
        "zcount",
        "zrem",
        "zrange",
        "zrangebyscore",
        "zremrangebyscore",
    ]
} | {
    b"DEL": Store.delete,
    b"UNLINK": Store.delete,
    b"INCR": Store.incrby,
    b"DECR": Store.decrby,
    b"PING": lambda _store, *_: Status(b"PONG"),
    b"AUTH": lambda _store, *_: OK,
    b"SELECT": lambda _store, *_: OK,
    b"CLIENT": lambda _store, *_: OK,
    b"ROLE": lambda _store, *_: [b"master", 0, []],
}
