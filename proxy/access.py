"""Who may ask: API keys as TEI has them, several of them, and none of them in memory as it is written."""

import hmac
from collections.abc import Iterable
from hashlib import sha256

_SCHEME = b"Bearer "


class Access:
    """The keys of this worker.

    Args:
        keys: Any one of them opens every route; none: no route needs one.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [sha256(key.encode()).digest() for key in keys]

    @property
    def is_open(self) -> bool:
        """Whether nobody needs a key."""
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
        return said.startswith(_SCHEME) and any(found)
