"""Redis Cluster: any node says which one has the namespace's slot, by the redirection `MOVED`.

All keys of a namespace are in one slot, so one node at a time is the master; `master.py` follows the redirections. While
a slot is on its way from one node to another, commands that would need both fail, and their session stays.
"""

from collections.abc import Sequence

from autobatch_shared.redis.address import Address
from autobatch_shared.settings.redis_urls import split_redis_url

PORT = 6379


class ClusterNodes:
    """The master is the node that has the namespace's slot.

    Args:
        nodes: Where to begin; one that answers is enough.
    """

    look_every_s: float | None = None

    def __init__(self, nodes: Sequence[Address]) -> None:
        self._nodes = nodes

    @classmethod
    def from_url(cls, url: str) -> "ClusterNodes":
        """Read `redis+cluster://[user:password@]host1[:6379],host2/` URLs."""
        parts = split_redis_url(url)
        return cls([Address.from_url(one) for one in parts.each_server(PORT)])

    async def candidates(self, last: Address | None) -> Sequence[Address]:
        """Return the node that had the slot, then the others."""
        return self._nodes if last is None else (last, *(node for node in self._nodes if node != last))

    async def close(self) -> None:
        """Return at once: it has no connection of its own."""
