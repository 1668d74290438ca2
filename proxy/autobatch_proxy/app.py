"""One worker: every collaborator is made here and passed in."""

import logging
import time
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.access.key_file import KeyFile, read_keys
from autobatch_proxy.dialects.model_check import ModelCheck
from autobatch_proxy.dialects.vendors.input_types import InputTypes
from autobatch_proxy.http.bodies import BodyRoom
from autobatch_proxy.http.handler import Compute, ModelChecks
from autobatch_proxy.http.headers import CommonHeaders
from autobatch_proxy.http.pages.docs_page import DocsPage
from autobatch_proxy.http.pages.fleet_routes import FleetRoutes
from autobatch_proxy.http.pages.status_page import StatusPage
from autobatch_proxy.http.route_table import Pages, Route, routes
from autobatch_proxy.http.routes import SHORTCUTS, add_routes
from autobatch_proxy.http.worker_readiness import READINESS, Readiness
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.queue.cached_client import CachedClient
from autobatch_proxy.queue.client import JobClient, QueueClient, new_worker_id
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.one_model import Clients
from autobatch_proxy.queue.vocabulary import Vocabulary
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.requests.lengths import make_ruler
from autobatch_proxy.requests.plan import Rules
from autobatch_proxy.requests.token_ids import make_text_of_ids
from autobatch_proxy.server.connections import Runner
from autobatch_proxy.server.idle_connections import IdleConnections
from autobatch_proxy.server.shortcut import usable
from autobatch_shared.collector import spare_the_collector
from autobatch_shared.contract.keys import Keys
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.result_cache import ResultCache
from autobatch_shared.redis.worker_queue import WorkerQueue
from autobatch_shared.settings.definitions import ProxySettings

log = logging.getLogger(__name__)

METRICS_EVERY_S = 1.0  # how old the numbers may be that another worker is asked for


class _Helper(Protocol):
    """Works beside the requests while the worker runs."""

    def open(self) -> None: ...

    async def close(self) -> None: ...


def make_app(settings: ProxySettings) -> web.Application:
    """Build one worker's application. Connections open when it starts and close when it stops."""
    keys, worker = Keys(settings.namespace), new_worker_id()
    master = Master.from_url(settings.redis_url.get_secret_value(), keys)
    link, inbox_link = (RedisLink(master, f"{worker}-{use}") for use in ("commands", "inbox"))
    input_types = InputTypes(settings.prompts)
    rules = _make_rules(settings, input_types)
    watcher = FleetWatcher(Control(link, keys), inputs_max=settings.max_batch_size, per_token=rules.ruler.per_token)
    metrics, share = WorkerMetrics(), AloneShare()
    queue = WorkerQueue(link, inbox_link, keys, worker)
    queue_client = QueueClient(queue, link, inbox_link, worker, settings.max_queue_size, watcher, metrics.queue)
    client: JobClient = queue_client
    cached_client = None
    if settings.cache_ttl_s:
        cache_link = RedisLink(master, f"{worker}-cache")  # of its own: rows are large, pushes urgent
        bytes_max = settings.cache_max_mb * 1_000_000
        cache = ResultCache(cache_link, keys, metrics.cache, ttl_s=settings.cache_ttl_s, bytes_max=bytes_max)
        client = cached_client = CachedClient(client, cache, cache_link, watcher)
    access, key_file = _make_access(settings)
    status_page = StatusPage(queue_client, watcher, worker, settings.max_client_batch_size)

    def take() -> None:
        metrics.take(queue_client.inputs_in_flight)

    async def count() -> float:
        take()
        status_page.look()
        _warn(share, input_types)
        return METRICS_EVERY_S

    helpers: list[_Helper] = [each for each in (cached_client, watcher, key_file) if each is not None]
    counting = Periodic("metrics", count)

    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        spare_the_collector()
        for each in helpers:
            each.open()
        await queue_client.open()
        counting.start()
        yield
        await counting.close()
        for each in helpers:
            await each.close()
        take()
        await queue_client.close()

    common = CommonHeaders(worker, settings.cors_origins)
    app = web.Application(client_max_size=settings.payload_limit)
    app.cleanup_ctx.append(lifespan)
    app.on_response_prepare.append(common.add)
    model_check = ModelCheck(settings.aliases) if settings.model_check == "served" else None
    checks = ModelChecks(Vocabulary(queue_client, rules.ruler.vocabulary, watcher), model_check)
    room = BodyRoom(settings.max_bodies_mb * 1_000_000, settings.payload_limit)
    compute = Compute(
        rules,
        room,
        settings.request_timeout_ms,
        Clients(client, queue_client),
        checks,
        watcher,
        metrics,
        share,
        common,
    )
    app[READINESS] = readiness = Readiness(lambda: queue_client.is_connected)
    fleet_routes = FleetRoutes(
        queue_client, watcher, metrics, readiness, take, settings.max_client_batch_size, settings.aliases
    )
    pages = Pages(fleet_routes, DocsPage(), status_page)

    def handler_of(route: Route) -> Handler:
        return compute.handler(route) if route.page is None else route.page(pages)

    add_routes(app, routes(settings.embed_answer), handler_of, access)
    return app


def _make_rules(settings: ProxySettings, input_types: InputTypes) -> Rules:
    return Rules(
        make_ruler(settings.tokenizer_file),
        settings.max_client_batch_size,
        settings.bulk_above_inputs,
        make_text_of_ids(settings.openai_token_ids, settings.cl100k_file),
        settings.answer_limit,
        input_types.prompt_of,
    )


def _make_access(settings: ProxySettings) -> tuple[Access, KeyFile | None]:
    access = Access(settings.keys)
    if settings.api_keys_file is None:
        return access, None
    access.take((*settings.keys, *read_keys(settings.api_keys_file)))
    return access, KeyFile(settings.api_keys_file, lambda keys: access.take((*settings.keys, *keys)))


def _warn(share: AloneShare, input_types: InputTypes) -> None:
    """Log that batching does little here, and why, and that input types mean nothing: clients see no other sign of either."""
    if finding := share.look(time.monotonic()):
        log.warning("requests_not_batched", extra={"share": finding.share, "reasons": finding.reasons})
    if kinds := input_types.take_unsaid():
        log.warning("input_types_without_prompt", extra={"input_types": kinds, "setting": "INPUT_TYPE_PROMPTS"})


async def make_runner(settings: ProxySettings) -> web.AppRunner:
    """Return what aiohttp's gunicorn worker runs."""
    app = make_app(settings)
    shortcuts = app[SHORTCUTS]
    runner = Runner(
        app,
        shortcuts=usable(shortcuts),
        handler_cancellation=True,  # a client that leaves must free its place in the queue
        keepalive_timeout=75,  # above nginx's 60 s, so that nginx and not we close an idle connection
        access_log=None,  # nginx writes the only one
        auto_decompress=False,  # as the upstream: a compressed body is no JSON
        lingering_time=2,  # for the rest of a body that was refused: so that its sender reads why
        shutdown_timeout=settings.request_timeout_ms / 1000,
    )
    idle = IdleConnections(lambda: runner.connections)

    async def watching(_app: web.Application) -> AsyncIterator[None]:
        watch = Periodic("idle-connections", idle.watch)
        watch.start()
        yield
        await watch.close()

    app.cleanup_ctx.append(watching)
    return runner
