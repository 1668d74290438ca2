"""Runs the product's own Lua files on the modelled data, by the same Lua 5.1 as Redis has."""

from hashlib import sha1
from importlib.resources import files
from typing import Any

import lupa.lua51 as lua

from autobatch_shared.redis.commands import SCRIPTS
from tests.simulation.redis_model.store import Refused, Status, Store

NAMES = {
    sha1(file.read_bytes(), usedforsecurity=False).hexdigest().encode(): file.name.encode()
    for file in files(SCRIPTS).iterdir()
    if file.name.endswith(".lua")
}
UNKNOWN_SCRIPT = "NOSCRIPT No matching script. Please use EVAL."


class Scripts:
    """Scripts by their hash.

    Args:
        store: The data that they work on.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[bytes] = set()
        _RUNNING.store = store

    def forget(self) -> None:
        """Know no script any more, as after a restart."""
        self._known.clear()

    def run_by_hash(self, args: list[bytes]) -> Any:
        """EVALSHA."""
        if args[0] not in self._known:
            raise Refused(UNKNOWN_SCRIPT)
        return self._run(args[0], args)

    def run_source(self, args: list[bytes]) -> Any:
        """EVAL."""
        sha = sha1(args[0], usedforsecurity=False).hexdigest().encode()
        if sha not in _COMPILED:
            _COMPILED[sha] = _wrapped(_RUNTIME.execute(b"return function(KEYS, ARGV) " + args[0] + b"\nend"))
        self._known.add(sha)
        return self._run(sha, args)

    def _run(self, sha: bytes, args: list[bytes]) -> Any:
        _RUNNING.store = self._store
        try:
            result = _COMPILED[sha](int(args[1]), *args[2:])
        except lua.LuaError as error:
            raise Refused(f"ERR {error}") from error
        return _from_lua(result)


class _Running:
    """The data of the script that runs."""

    store: Store


_RUNNING = _Running()
#: What is done in Lua because it costs less there than from outside, where each table and each field of one is a call.
#: A script is called with its number of keys, then KEYS and ARGV in one row. The table that it returns comes as LIST, its length
#: and its values in one row; the list that a command returned as LIST and its values.
_AROUND = b"""
local call, LIST = ...
local unpack, select, type = unpack, select, type

local function from_reply(first, ...)
  if first == LIST then
    return {...}
  end
  return first
end

redis = {call = function(...) return from_reply(call(...)) end}

local function to_reply(result)
  if type(result) ~= 'table' or result.ok or result.err then
    return result
  end
  local length = 0
  while result[length + 1] ~= nil do
    length = length + 1
  end
  return LIST, length, unpack(result, 1, length)
end

return function(script)
  return function(keys, ...)
    local all = {...}
    return to_reply(script({unpack(all, 1, keys)}, {unpack(all, keys + 1, select('#', ...))}))
  end
end
"""
_LIST = b"a list follows"

_RUNTIME = lua.LuaRuntime(encoding=None, unpack_returned_tuples=True)
_COMPILED: dict[bytes, Any] = {}


def _call(name: bytes, *args: Any) -> Any:
    """`redis.call`; an error ends the script, as in Redis."""
    reply = _RUNNING.store.execute(name, [arg if type(arg) is bytes else _argument(arg) for arg in args])
    kind = type(reply)
    if kind is int or kind is bytes:
        return reply
    return (_LIST, *map(_to_lua, reply)) if kind is list else _to_lua(reply)


def _argument(value: Any) -> bytes:
    """Return a number of Lua as Redis gets it."""
    return b"%d" % value if value == int(value) else b"%.17g" % value


def _to_lua(reply: Any) -> Any:
    if isinstance(reply, Status):
        return _RUNTIME.table_from({b"ok": bytes(reply)})
    if isinstance(reply, list):
        return _RUNTIME.table_from([_to_lua(each) for each in reply])
    return False if reply is None else reply


def _from_lua(result: Any) -> Any:
    kind = type(result)
    if kind is bytes or kind is int:
        return result
    if kind is tuple:
        return [_from_lua(each) for each in result[2:]]
    if result is None or result is False:
        return None
    if kind is float or result is True:
        return int(result)
    if (status := result[b"ok"]) is not None:
        return Status(status)
    if (error := result[b"err"]) is not None:
        raise Refused(error.decode())
    return [_from_lua(each) for each in _values_of(result)]


def _values_of(table: Any) -> list[Any]:
    """Return the values of a table in a table, up to the first hole."""
    values: list[Any] = []
    while (value := table[len(values) + 1]) is not None:
        values.append(value)
    return values


_wrapped = _RUNTIME.execute(_AROUND, _call, _LIST)
