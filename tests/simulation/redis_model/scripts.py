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
            _COMPILED[sha] = _RUNTIME.execute(b"return function(KEYS, ARGV) " + args[0] + b"\nend")
        self._known.add(sha)
        return self._run(sha, args)

    def _run(self, sha: bytes, args: list[bytes]) -> Any:
        keys = int(args[1])
        _RUNNING.store = self._store
        try:
            result = _COMPILED[sha](_table(args[2 : 2 + keys]), _table(args[2 + keys :]))
        except lua.LuaError as error:
            raise Refused(f"ERR {error}") from error
        return _from_lua(result)


class _Running:
    """The data of the script that runs."""

    store: Store


_RUNNING = _Running()
_RUNTIME = lua.LuaRuntime(encoding=None, unpack_returned_tuples=True)
_COMPILED: dict[bytes, Any] = {}


def _table(values: list[bytes]) -> Any:
    return _RUNTIME.table_from(values)


def _call(name: bytes, *args: Any) -> Any:
    """`redis.call`; an error ends the script, as in Redis."""
    reply = _RUNNING.store.execute(name, [arg if type(arg) is bytes else _argument(arg) for arg in args])
    return reply if type(reply) is int or type(reply) is bytes else _to_lua(reply)


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
    if result is None or result is False:
        return None
    if result is True:
        return 1
    if isinstance(result, bytes):
        return result
    if isinstance(result, (int, float)):
        return int(result)
    if (status := result[b"ok"]) is not None:
        return Status(status)
    if (error := result[b"err"]) is not None:
        raise Refused(error.decode())
    values, place = [], 1
    while (value := result[place]) is not None:
        values.append(_from_lua(value))
        place += 1
    return values


_RUNTIME.globals()[b"redis"] = _RUNTIME.table_from({b"call": _call})
