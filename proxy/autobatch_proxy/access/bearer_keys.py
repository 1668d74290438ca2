"""Who may ask: API keys as TEI has them, several of them, and none of them in memory as it is written.

A worker does remember the heads of clients that send them again and again, and with them their keys; whether a key is good is
judged for each request.

A key is written as it is, or as `sha256:` and the hex digits of its digest: then reading it does not let anyone in.
"""

import hmac
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256

_SCHEME = b"Bearer "
_hashed = re.compile(r"sha256:([0-9a-fA-F]{64})").fullmatch


class Access:
    """The keys of this worker.

    Args:
        keys: The keys, each of which opens every route; none: no route needs one.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._granted: Counter[int] = Counter()
        self.take(keys)

    def take(self, keys: Iterable[str]) -> None:
        """Let these keys be the ones that count, from now on."""
        self._digests = [_digest(key) for key in keys]

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return not self._digests

    def is_granted(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header is exactly `Bearer` and one of the keys.

        The time that it takes depends on nothing but the header's length and the number of keys.
        """
        if self.is_open:
            return True
        said = (authorization or "").encode("utf-8", "surrogateescape")
        digest = sha256(said.removeprefix(_SCHEME)).digest()
        found = [hmac.compare_digest(digest, each) for each in self._digests]
        is_granted = said.startswith(_SCHEME) and any(found)
        if is_granted:
            self._granted[found.index(True) + 1] += 1
        return is_granted

    def taken(self) -> Mapping[int, int]:
        """Return how many requests each key has let in since the last call, by its place among the keys, from 1.

        Not by its digest, which would tell readers of the metrics whether a guess is right.
        """
        granted, self._granted = self._granted, Counter()
        return granted


def _digest(key: str) -> bytes:
    found = _hashed(key)
    return bytes.fromhex(found[1]) if found else sha256(key.encode()).digest()
