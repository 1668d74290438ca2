"""One address: a server of its own, or one that always leads to the master, as managed services have."""

from collections.abc import Sequence

from autobatch_shared.redis.address import Address


class FixedAddress:
    """The master is behind one address. A host's name is resolved at each connection."""

    look_every_s: float | None = None

    def __init__(self, address: Address) -> None:
        self._address = address

    @classmethod
    def from_url(cls, url: str) -> "FixedAddress":
        """Read `redis://`, `rediss://` and `unix://` URLs."""
        return cls(Address.from_url(url))

    async def candidates(self, _last: Address | None) -> Sequence[Address]:
        """Return the address."""
        return (self._address,)

    async def close(self) -> None:
        """Return at once: it has no connection of its own."""
