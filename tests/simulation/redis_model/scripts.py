"""Runs the product's own Lua files on the modelled data, by the same Lua 5.1 as Redis has."""

from hashlib import sha1
from importlib.resources import files

from autobatch_shared.redis.commands import SCRIPTS
from tests.simulation.redis_model.store import Store, compiled

UNKNOWN_SCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"


def _sha(source: bytes) -> bytes:
    return sha1(source, usedforsecurity=False).hexdigest().encode()


_SOURCES = {file.name: file.read_bytes() for file in files(SCRIPTS).iterdir() if file.name.endswith(".lua")}
NAMES = {_sha(source): name.encode() for name, source in _SOURCES.items()}
_COMPILED = {_sha(source): compiled(source) for source in _SOURCES.values()}


class Scripts:
    """Scripts by their hash.

    Args:
        store: The data that they work on.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[bytes] = set()

    def forget(self) -> None:
        """Know no script any more, as after a restart."""
        self._known.clear()

    def learn_all(self) -> None:
        """Know every script of the product."""
        self._known.update(NAMES)

    def run_by_hash(self, args: list[bytes]) -> bytes:
        """EVALSHA."""
        if args[0] not in self._known:
            return UNKNOWN_SCRIPT
        return self._store.run(_COMPILED[args[0]], int(args[1]), args[2:])

    def run_source(self, args: list[bytes]) -> bytes:
        """EVAL."""
        sha = _sha(args[0])
        if sha not in _COMPILED:
            _COMPILED[sha] = compiled(args[0])
        self._known.add(sha)
        return self._store.run(_COMPILED[sha], int(args[1]), args[2:])
