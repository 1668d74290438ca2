"""How the master is found: the interface; `master.py` has the table."""

from collections.abc import Sequence
from typing import Protocol

from autobatch_shared.redis.address import Address


class MasterFinder(Protocol):
    """Knows where the server may be that takes the writes; whether one is, `master.py` asks it.

    Attributes:
        look_every_s: Seconds between looks while all goes well; None where a server says so itself as soon as it is not
            the master any more.
    """

    look_every_s: float | None

    @classmethod
    def from_url(cls, url: str) -> "MasterFinder":
        """Read a REDIS_URL of this kind.

        Raises:
            SettingsError: It cannot be read.
        """
        ...

    async def candidates(self, last: Address | None) -> Sequence[Address]:
        """Return where the master may be, likeliest first; at least one.

        Args:
            last: Where the master was found last.

        Raises:
            QueueUnavailable: None of those who know it answers.
        """
        ...

    async def close(self) -> None:
        """Drop connections of its own; another look opens them again."""
        ...
