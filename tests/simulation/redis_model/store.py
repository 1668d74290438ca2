"""The data of one Redis, as Python sees it: `store.lua` has it. Its clock is passed in.

Replies are RESP2, as on the wire. What a command does here is compared with a real server on the same histories by
`test_same_as_redis.py`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hiredis
import lupa.luajit21 as lua  # a twentieth of a schedule less than with `lua51`; both are Lua 5.1

_RUNTIME = lua.LuaRuntime(encoding=None, unpack_returned_tuples=True)
_SOURCE = Path(__file__).with_suffix(".lua")
_OUTSIDE = _RUNTIME.execute(_SOURCE.read_bytes())
_NEW, _EXECUTE, _NAMES, _COPY, _BECOME, _WRAPPED = (
    _OUTSIDE[name] for name in (b"new", b"execute", b"names", b"copy", b"become", b"wrapped")
)


class Store:
    """Keys and their values.

    Attributes:
        was_pushed: Whether something was pushed to a list; the server says when it has seen that.

    Args:
        now_ms: Returns this Redis's own clock, unix milliseconds.
    """

    def __init__(self, now_ms: Callable[[], float]) -> None:
        self.was_pushed = False
        self._now_ms = now_ms
        self._data = _NEW()

    def reply(self, name: bytes, args: Sequence[bytes]) -> bytes:
        """Execute one command, by its name in capitals."""
        return self._noted(_EXECUTE(self._data, self._now_ms(), name, *args))

    def run(self, script: Any, keys: int, args: Sequence[bytes]) -> bytes:
        """Run a script that `compiled` returned, with KEYS and ARGV in one row; return its reply."""
        return self._noted(script(self._data, self._now_ms(), keys, *args))

    def _noted(self, replied: Any) -> bytes:
        if type(replied) is tuple:
            replied, self.was_pushed = replied
        reply: bytes = replied
        return reply

    def execute(self, name: bytes, args: Sequence[bytes]) -> Any:
        """Execute one command; return its reply as clients read it."""
        return _read(self.reply(name, args))

    def copy(self) -> Any:
        """Return the data as it is now, for `restore`."""
        return _COPY(self._data)

    def restore(self, data: Any) -> None:
        """Have the data of another moment."""
        _BECOME(self._data, _COPY(data))

    def clear(self) -> None:
        """Lose all data."""
        _BECOME(self._data, _NEW())

    def names(self) -> list[bytes]:
        """Return the keys that live, in order."""
        return list(_read(_NAMES(self._data, self._now_ms())))

    def is_endless(self, key: bytes) -> bool:
        """Whether a key that lives has no time to live."""
        return bool(self.execute(b"PTTL", [key]) == -1)

    def length(self, key: bytes) -> int:
        """Return how many elements a list, or fields a hash, has."""
        kind = self.execute(b"TYPE", [key])
        return int(self.execute(b"LLEN" if kind == b"list" else b"HLEN", [key]))


def compiled(source: bytes) -> Any:
    """Return a script for `Store.run`."""
    return _WRAPPED(_RUNTIME.execute(b"return function(KEYS, ARGV) " + source + b"\nend"))


def _read(reply: bytes) -> Any:
    reader = hiredis.Reader()
    reader.feed(reply)
    return reader.gets()
