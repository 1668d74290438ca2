"""The worker's end of one model: its queue, and what is known of its batchers. No two models share any of it."""

from autobatch_proxy.queue.cached_client import CachedClient
from autobatch_proxy.queue.client import QueueClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.one_model import Clients
from autobatch_proxy.queue.vocabulary import Vocabulary
from autobatch_proxy.requests.plan import Rules


class ModelEnd:
    """The end of one model in one worker.

    Attributes:
        name: The model's name; empty: the one without a name.
        watcher: Knows its batchers, and what their upstreams allow.
        queue: Asks its batchers.
        clients: Are asked for the replies to a plan's jobs.
        vocabulary: Knows which token ids are the model's.
        rules: How requests for it are planned.

    Args:
        cached: Is asked first, where there is a cache.
    """

    def __init__(
        self, name: str, watcher: FleetWatcher, queue: QueueClient, cached: CachedClient | None, rules: Rules
    ) -> None:
        self.name = name
        self.watcher = watcher
        self.queue = queue
        self.clients = Clients(cached or queue, queue)
        self.vocabulary = Vocabulary(queue, rules.ruler.vocabulary, watcher)
        self.rules = rules
        self._cached = cached

    @property
    def is_healthy(self) -> bool:
        """Whether this worker reaches Redis, and a batcher has a healthy upstream."""
        return self.queue.is_connected and self.watcher.fleet.is_healthy

    async def open(self) -> None:
        """Connect, for as long as that is quick, and begin to read replies."""
        await self.queue.open()

    async def close(self) -> None:
        """Stop, when no request waits any more."""
        if self._cached is not None:
            await self._cached.close()
        await self.watcher.close()
        await self.queue.close()
