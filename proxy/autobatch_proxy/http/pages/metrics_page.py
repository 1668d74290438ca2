"""`GET /metrics`: the numbers of this gunicorn's workers, and the figures of the whole fleet, which are looked up for it."""

import asyncio
import logging
import time
from collections.abc import Callable

from aiohttp import web

from autobatch_proxy.http.pages.shared_look import SharedLook
from autobatch_proxy.metrics import CONTENT_TYPE, FleetFigures, WorkerMetrics
from autobatch_proxy.models.model_end import ModelEnd
from autobatch_proxy.models.served_models import Models
from autobatch_proxy.queue.admission import longest_wait_s
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.control import Depths

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0  # however often it is asked for: no key is needed, and the oldest jobs are read for it
LOOK_MAX_S = 2.0  # a Redis that is slower counts as unreachable; well below Prometheus' own 10 s


class MetricsPage:
    """The page of one worker.

    Args:
        models: The models that this worker can ask.
        metrics: Counts this worker's requests and answers.
        take: Brings this worker's numbers into the metrics.
        waiting_max: The most inputs that may wait in one queue.
        timeout_max_s: The time of a request that asks for no other.
        has_cache: Whether results are cached.
    """

    def __init__(
        self,
        models: Models,
        metrics: WorkerMetrics,
        take: Callable[[], None],
        *,
        waiting_max: int,
        timeout_max_s: float,
        has_cache: bool,
    ) -> None:
        self._models = models
        self._metrics = metrics
        self._take = take
        self._waiting_max = waiting_max
        self._timeout_max_s = timeout_max_s
        self._has_cache = has_cache
        self._shared = SharedLook(self._look, LOOK_EVERY_S)

    async def page(self, _request: web.Request) -> web.Response:
        """Prometheus text. 200 whatever the state is: without Redis the figures of the fleet are missing."""
        figures = await self._shared.seen()
        self._take()
        return web.Response(body=self._metrics.render(figures), headers={"Content-Type": CONTENT_TYPE})

    async def _look(self) -> FleetFigures:
        figures: dict[str, list[tuple[tuple[str, ...], float]]] = {}

        def note(gauge: str, figure: float, *labels: str) -> None:
            figures.setdefault(gauge, []).append((labels, figure))

        try:
            async with asyncio.timeout(LOOK_MAX_S):
                for end in self._models.ends:
                    started_s = time.perf_counter()
                    depths = await end.watcher.depths()
                    round_trip_s = time.perf_counter() - started_s
                    self._note_depths(end, depths, note)
                    self._note_fleet(end, note)
                if self._has_cache:
                    rows, size_bytes = await self._models.unnamed.watcher.cached()
                    note("cache_rows", rows)
                    note("cache_bytes", size_bytes)
        except (QueueUnavailable, TimeoutError) as error:
            log.info("metrics_without_queue", extra={"error": str(error) or "timeout"})
            note("redis_up", 0)
        else:
            note("redis_up", 1)
            note("redis_round_trip_seconds", round_trip_s)
            note("redis_clock_ahead_seconds", depths.redis_s + round_trip_s / 2 - time.time())
        return figures

    def _note_fleet(self, end: ModelEnd, note: Callable[..., None]) -> None:
        upstreams = end.watcher.fleet.upstreams
        note("fleet_batchers", len(end.watcher.fleet.batchers), end.name)
        note("fleet_upstreams", len({each.url for each in upstreams}), end.name)
        note("fleet_upstreams_up", len({each.url for each in upstreams if each.may_be_called}), end.name)

    def _note_depths(self, end: ModelEnd, depths: Depths, note: Callable[..., None]) -> None:
        for queue, depth in (("usual", depths.usual), ("bulk", depths.bulk)):
            note("fleet_queue_jobs", depth.jobs, end.name, queue)
            note("fleet_queue_expired_jobs", depth.expired, end.name, queue)
            note("fleet_queue_inputs", depth.weight, end.name, queue)
            note("fleet_queue_bytes", depth.size_bytes, end.name, queue)
            note("fleet_queue_oldest_age_seconds", depth.oldest_age_s or 0.0, end.name, queue)
        note("fleet_jobs_dead", depths.dead, end.name)
        working = sum(upstream.in_flight for upstream in end.watcher.fleet.upstreams)
        held = sum(batcher.held for batcher in end.watcher.fleet.batchers)
        inputs, per_s = depths.usual.weight + held + working, end.watcher.drained_per_s
        drain_s = inputs / per_s if per_s > 0 else None
        if drain_s is not None or not inputs:
            note("fleet_drain_seconds", drain_s or 0.0, end.name)
        full_share = max(depths.usual.weight, depths.bulk.weight) / self._waiting_max
        late_share = (drain_s or 0.0) / longest_wait_s(self._timeout_max_s)
        note("fleet_saturation_ratio", min(max(full_share, late_share, end.queue.used_share), 1.0), end.name)
