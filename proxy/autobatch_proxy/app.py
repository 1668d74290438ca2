"""One worker: every collaborator is made here and passed in."""

import logging
import time
from collections.abc import AsyncIterator

from aiohttp import web

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.access.key_file import KeyFile, read_keys
from autobatch_proxy.http.answer_headers import CommonHeaders
from autobatch_proxy.http.docs_page import docs_routes
from autobatch_proxy.http.fleet_routes import FleetRoutes
from autobatch_proxy.http.handler import PATHS, Compute
from autobatch_proxy.http.routes import add_routes
from autobatch_proxy.metrics import Metrics
from autobatch_proxy.queue.cached_client import Recall
from autobatch_proxy.queue.client import Desk, new_worker_id
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.requests.lengths import make_ruler
from autobatch_proxy.requests.plan import Rules
from autobatch_proxy.requests.token_ids import make_text_of_ids
from autobatch_proxy.server.connections import Runner
from autobatch_proxy.server.idle_connections import IdleConnections
from autobatch_shared.collector import spare_the_collector
from autobatch_shared.contract.keys import Keys
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.control import Control, connect
from autobatch_shared.redis.job_queue import WorkerQueue
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.result_cache import ResultCache
from autobatch_shared.settings.definitions import ProxySettings

log = logging.getLogger(__name__)

METRICS_EVERY_S = 1.0  # how old the numbers may be that another worker is asked for


def make_app(settings: ProxySettings) -> web.Application:
    """Build one worker's application. Connections open when it starts and close when it stops."""
    url = settings.redis_url.get_secret_value()
    keys, worker = Keys(settings.namespace), new_worker_id()
    link, inbox_link = (RedisLink(Address.from_url(url), f"{worker}-{use}") for use in ("commands", "inbox"))
    ruler = make_ruler(settings.tokenizer_file)
    watcher = FleetWatcher(Control(connect(url), keys), inputs_max=settings.max_batch_size, per_token=ruler.per_token)
    queue = WorkerQueue(link, inbox_link, keys, worker)
    desk = Desk(queue, link, inbox_link, worker, settings.max_queue_size, lambda: watcher.fleet.drained_per_s)
    metrics, share = Metrics(), AloneShare()
    cache_link, recall = None, None
    if settings.cache_ttl_s:
        cache_link = RedisLink(Address.from_url(url), f"{worker}-cache")  # of its own: rows are large, pushes urgent
        bytes_max = settings.cache_max_mb * 1_000_000
        cache = ResultCache(cache_link, keys, ttl_s=settings.cache_ttl_s, bytes_max=bytes_max)
        recall = Recall(desk, cache, lambda: watcher.fleet.model)
    common = CommonHeaders(worker, settings.cors_origins)
    access, key_file = _make_access(settings)

    def take() -> None:
        metrics.take(desk, recall)

    async def count() -> float:
        take()
        _warn(share)
        return METRICS_EVERY_S

    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        counting = Periodic("metrics", count)
        spare_the_collector()
        if cache_link is not None:
            cache_link.start()
        await desk.open()
        watcher.open()
        counting.start()
        if key_file is not None:
            key_file.open()
        yield
        if key_file is not None:
            await key_file.close()
        await counting.close()
        take()
        await watcher.close()
        if recall is not None and cache_link is not None:
            await recall.close()
            await cache_link.close()
        await desk.close()

    app = web.Application(client_max_size=settings.payload_limit)
    app.cleanup_ctx.append(lifespan)
    app.on_response_prepare.append(common.add)
    rules = Rules(
        ruler,
        settings.max_client_batch_size,
        settings.bulk_above_inputs,
        make_text_of_ids(settings.openai_token_ids, settings.cl100k_file),
    )
    compute = Compute(settings, rules, desk, recall, watcher, metrics, share, common)
    add_routes(
        app,
        {path: compute.handler(path) for path in PATHS},
        {
            **FleetRoutes(desk, watcher, metrics, take, settings.max_client_batch_size).handlers(),
            **{path: handler for _, path, handler in docs_routes()},
        },
        access,
    )
    return app


def _make_access(settings: ProxySettings) -> tuple[Access, KeyFile | None]:
    access = Access(settings.keys)
    if settings.api_keys_file is None:
        return access, None
    access.take((*settings.keys, *read_keys(settings.api_keys_file)))
    return access, KeyFile(settings.api_keys_file, lambda keys: access.take((*settings.keys, *keys)))


def _warn(share: AloneShare) -> None:
    """Say that batching does little here, and why: nothing else that a client sees would."""
    if finding := share.look(time.monotonic()):
        log.warning("requests_not_batched", extra={"share": finding.share, "reasons": finding.reasons})


async def make_runner(settings: ProxySettings) -> web.AppRunner:
    """Return what aiohttp's gunicorn worker runs."""
    app = make_app(settings)
    runner = Runner(
        app,
        handler_cancellation=True,  # a client that leaves must free its place in the queue
        keepalive_timeout=75,  # above nginx's 60 s, so that nginx and not we close an idle connection
        access_log=None,  # nginx writes the only one
        auto_decompress=False,  # as the upstream: a compressed body is no JSON
        lingering_time=2,  # for the rest of a body that was refused: so that its sender reads why
        shutdown_timeout=settings.request_timeout_ms / 1000,
    )
    idle = IdleConnections(lambda: runner.server.connections if runner.server is not None else ())

    async def watching(_app: web.Application) -> AsyncIterator[None]:
        watch = Periodic("idle-connections", idle.watch)
        watch.start()
        yield
        await watch.close()

    app.cleanup_ctx.append(watching)
    return runner
