"""The data of one Redis, as Python sees it: `store.lua` has it. Its clock is passed in.

Replies are RESP2 values: bytes, int, list, None, `Status` and `Refused`. What a command does here is compared with a real
server on the same histories by `test_same_as_redis.py`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lupa.lua51 as lua


class Status(bytes):
    """A simple string, such as OK."""


class Refused(Exception):
    """An error reply."""


OK = Status(b"OK")
_LIST, _STATUS = b"a list follows", b"a status follows"
_RUNTIME = lua.LuaRuntime(encoding=None, unpack_returned_tuples=True)
_SOURCE = Path(__file__).with_suffix(".lua")
_OUTSIDE = _RUNTIME.execute(_SOURCE.read_bytes(), _LIST, _STATUS)
_NEW, _EXECUTE, _WAS_PUSHED, _NAMES, _COPY, _BECOME, _WRAPPED = (
    _OUTSIDE[name] for name in (b"new", b"execute", b"was_pushed", b"names", b"copy", b"become", b"wrapped")
)


class Store:
    """Keys and their values.

    Args:
        now_ms: Returns this Redis's own clock, unix milliseconds.
    """

    def __init__(self, now_ms: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self._data = _NEW()

    def execute(self, name: bytes, args: Sequence[bytes]) -> Any:
        """Execute one command, by its name in capitals.

        Raises:
            Refused: The error reply.
        """
        try:
            result = _EXECUTE(self._data, self._now_ms(), name, *args)
        except lua.LuaError as error:
            raise _refused(error) from error
        return _from_lua(result)

    def run(self, script: Any, keys: int, args: Sequence[bytes]) -> Any:
        """Run a script that `compiled` returned, with KEYS and ARGV in one row.

        Raises:
            Refused: The error reply.
        """
        try:
            result = script(self._data, self._now_ms(), keys, *args)
        except lua.LuaError as error:
            raise _refused(error) from error
        return _from_lua(result)

    def was_pushed(self) -> bool:
        """Whether something was pushed to a list since this was last asked."""
        return bool(_WAS_PUSHED(self._data))

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
        return list(_from_lua(_NAMES(self._data, self._now_ms())))

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


def _refused(error: Exception) -> Refused:
    """Return the error reply; beyond its first line is where in Lua it happened."""
    text = str(error).partition("\n")[0]
    return Refused(text if text.split(" ", 1)[0].isupper() else f"ERR {text}")


def _from_lua(result: Any) -> Any:
    kind = type(result)
    if kind is bytes or kind is int:
        return result
    if kind is tuple:
        return Status(result[1]) if result[0] == _STATUS else [_from_lua(each) for each in result[2:]]
    if result is None or result is False:
        return None
    if kind is float or result is True:
        return int(result)
    return [_from_lua(each) for each in _values_of(result)]


def _values_of(table: Any) -> list[Any]:
    """Return the values of a table in a table, up to the first hole."""
    values: list[Any] = []
    while (value := table[len(values) + 1]) is not None:
        values.append(value)
    return values
