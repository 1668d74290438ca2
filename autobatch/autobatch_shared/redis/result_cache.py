"""Rows that were computed before, kept in Redis for requests that repeat.

1. It never makes a request fail: any trouble with Redis is a miss, or nothing is stored.
2. A row is used only if its checksum says that it was stored whole and under this very name.
3. The first row stored under a name stands until its TTL ends or the oldest have to make room.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.measuring.count import Count
from autobatch_shared.redis.commands import Command, Commands, Script, expected_shape

log = logging.getLogger(__name__)

CHECKSUM_BYTES = 8
ROW_SHARE_MAX = 16  # one row pushes out at most a 16th of the others
ENTRY_BYTES = 330  # key, expiry and index entry: 327 on Redis 7.0, measured with rows of 3 bytes
DROPS_MAX = 256  # beyond what came in: a lowered bound or a burst's end is worked off 1 ms at a time


@dataclass(slots=True)
class CacheCounts:
    """What happened at one cache.

    Attributes:
        hits: Names that had a row.
        misses: Names that had none; hits and misses are all that were looked up.
        broken: Misses whose value was not what is stored under that name.
        evictions: Rows that made room for others before their time.
        bypasses: Requests that were not looked up.
    """

    hits: Count
    misses: Count
    broken: Count
    evictions: Count
    bypasses: Count


class ResultCache:
    """Looks rows up and stores them, by the names of `cache_names.cache_name`.

    Args:
        link: The connection for commands that return at once.
        keys: The names of the namespace's keys.
        counts: The counters that this cache adds to.
        ttl_s: Seconds that a row is kept, at least 1.
        bytes_max: The most bytes of Redis for all rows, with their keys and the index. The allocator rounds each row
            up, by 7 % at 4.8 kB and 15 % at 12.5 kB: that comes on top.
    """

    def __init__(self, link: Commands, keys: Keys, counts: CacheCounts, *, ttl_s: int, bytes_max: int) -> None:
        self.counts = counts
        self._link = link
        self._row_prefix = keys.cached("")
        self._ttl_ms = ttl_s * 1000
        self._bytes_max = bytes_max
        self._trim = Script(
            "cache_trim",
            (keys.cache_index, keys.cache_bytes, keys.cached("")),
            (self._ttl_ms, bytes_max, ENTRY_BYTES, DROPS_MAX),
        )
        self._failing: set[str] = set()

    async def look_up(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the row of each name, in order; None for a name that has none, for all when Redis is unavailable."""
        if not names:
            return []
        prefix = self._row_prefix
        keys = [prefix + name for name in names]
        try:
            values: list[bytes | None] = await self._link.execute("MGET", *keys)
        except QueueUnavailable as error:
            self._failed("look_up", error)
            self.counts.misses.total += len(names)
            return [None] * len(names)
        self._failing.discard("look_up")
        rows = [None if value is None else unsealed(name, value) for name, value in zip(names, values, strict=True)]
        misses, absent = rows.count(None), values.count(None)
        self.counts.hits.total += len(rows) - misses
        self.counts.misses.total += misses
        if misses > absent:
            self.counts.broken.total += misses - absent
            await self._delete([key for key, row in zip(keys, rows, strict=True) if row is None])
        return rows

    async def store(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Store (name, row) pairs as one step; not those that are very large, and none when Redis is unavailable."""
        fitting = [(name, row) for name, row in rows if len(row) * ROW_SHARE_MAX <= self._bytes_max]
        if not fitting:
            return
        prefix, ttl_ms = self._row_prefix, self._ttl_ms
        # Rows stay out of Lua, as replies do: it would copy and hash each, 4.5 us for 4.4 kB.
        stores: list[Command] = [("SET", prefix + name, sealed(name, row), "NX", "PX", ttl_ms) for name, row in fitting]
        try:
            evicted = await self._trim.run_after(self._link, stores, *[name for name, _ in fitting])
            with expected_shape:
                self.counts.evictions.total += int(evicted)
        except QueueUnavailable as error:
            self._failed("store", error)
        else:
            self._failing.discard("store")

    async def _delete(self, keys: Sequence[str]) -> None:
        """Delete broken values: the first one stands, so they would keep good ones out until their TTL ends."""
        with suppress(QueueUnavailable):
            await self._link.execute("UNLINK", *keys)

    def _failed(self, operation: str, error: QueueUnavailable) -> None:
        if operation not in self._failing:  # once an outage, not once a request
            log.warning("cache_unavailable", extra={"operation": operation, "error": str(error)})
        self._failing.add(operation)


def sealed(name: str, row: bytes) -> bytes:
    """Return what is stored: the checksum of name and row as hex digits, then the row."""
    return b"%08x%b" % (crc32(row, crc32(name.encode())), row)


def unsealed(name: str, value: bytes) -> bytes | None:
    """Return the row; None when the value is truncated, altered, foreign, or stored under another name."""
    row = value[CHECKSUM_BYTES:]
    return row if value[:CHECKSUM_BYTES] == b"%08x" % crc32(row, crc32(name.encode())) else None
