"""Makes the ends of models for one worker: each with connections of its own, all with one cache."""

from collections.abc import Mapping

from autobatch_proxy.dialects.vendors.input_types import InputTypes
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.models.model_end import ModelEnd
from autobatch_proxy.queue.cached_client import CachedClient
from autobatch_proxy.queue.client import QueueClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.requests.lengths import make_ruler
from autobatch_proxy.requests.plan import Rules
from autobatch_proxy.requests.token_ids import make_text_of_ids
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.result_cache import ResultCache
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.redis.worker_queue import WorkerQueue
from autobatch_shared.settings.definitions import ProxySettings


class ModelEnds:
    """Makes them, and owns what they share.

    Attributes:
        activities: What workers and batchers did lately, for people.

    Args:
        settings: The worker's.
        worker: This worker's id.
        metrics: Counts for all of them.
        input_types: Knows the prompts of the unnamed model's input types, and of those that have no settings of their own.
        named: The worker's settings for models that have their own, by name.
    """

    def __init__(
        self,
        settings: ProxySettings,
        worker: str,
        metrics: WorkerMetrics,
        input_types: InputTypes,
        named: Mapping[str, ProxySettings],
    ) -> None:
        self._named = named
        keys = Keys(settings.namespace)
        self._settings = settings
        self._worker = worker
        self._metrics = metrics
        self._input_types = input_types
        self._master = Master.from_url(settings.redis_url.get_secret_value(), keys)
        self._look_link = self._link("look")  # of its own: what is read for people must not hold up a push
        self.activities = Activities(self._look_link, settings.namespace)
        self._cache_link = self._cache = None
        if settings.cache_ttl_s:
            self._cache_link = self._link("cache")  # of its own: rows are large, pushes urgent
            bytes_max = settings.cache_max_mb * 1_000_000
            # A row's name says which model computed it, so one bound holds for all of them.
            self._cache = ResultCache(
                self._cache_link, keys, metrics.cache, ttl_s=settings.cache_ttl_s, bytes_max=bytes_max
            )

    def make(self, name: str) -> ModelEnd:
        """Return the end of a model; the empty name is that of the unnamed one."""
        settings, worker = self._settings, self._worker
        keys, link, inbox_link = Keys(settings.namespace, name), self._link("commands"), self._link("inbox")
        rules = self._rules(name)
        watcher = FleetWatcher(
            Control(link, keys), inputs_max=settings.max_batch_size, per_token=rules.ruler.per_token, name=name
        )
        queue = WorkerQueue(link, inbox_link, keys, worker)
        client = QueueClient(queue, link, inbox_link, worker, settings.max_queue_size, watcher, self._metrics.queue)
        cached = None if self._cache is None else CachedClient(client, self._cache, watcher)
        return ModelEnd(name, watcher, client, cached, rules)

    def open(self) -> None:
        """Connect to the cache, and for what people look at."""
        self._look_link.start()
        if self._cache_link is not None:
            self._cache_link.start()

    async def close(self) -> None:
        """Drop these connections, when all ends are closed."""
        await self._look_link.close()
        if self._cache_link is not None:
            await self._cache_link.close()

    def _link(self, use: str) -> RedisLink:
        return RedisLink(self._master, f"{self._worker}-{use}")

    def _rules(self, name: str) -> Rules:
        settings, own = self._settings, self._named.get(name)
        # The tokenizer of one model miscounts the tokens of another.
        tokenizer_file = (own and own.tokenizer_file) if name else settings.tokenizer_file
        input_types = InputTypes(own.prompts) if own is not None and own.prompts else self._input_types
        return Rules(
            make_ruler(tokenizer_file or None),
            settings.max_client_batch_size,
            settings.bulk_above_inputs,
            make_text_of_ids(settings.openai_token_ids, settings.cl100k_file),
            settings.answer_limit,
            input_types.prompt_of,
        )
