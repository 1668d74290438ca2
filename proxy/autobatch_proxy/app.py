"""One worker: every collaborator is made here and passed in."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.access.key_file import KeyFile
from autobatch_proxy.dialects.model_check import ModelCheck
from autobatch_proxy.dialects.vendors.input_types import InputTypes
from autobatch_proxy.http.bodies import BodyRoom
from autobatch_proxy.http.handler import Compute
from autobatch_proxy.http.headers import CommonHeaders
from autobatch_proxy.http.named_models import ModelPaths, RouteShapes
from autobatch_proxy.http.pages.dashboard import Dashboard
from autobatch_proxy.http.pages.docs_page import DocsPage
from autobatch_proxy.http.pages.fleet_routes import FleetRoutes
from autobatch_proxy.http.pages.metrics_page import MetricsPage
from autobatch_proxy.http.pages.status_page import StatusPage
from autobatch_proxy.http.plain_requests import PlainRoute
from autobatch_proxy.http.route_table import Pages, Route, routes
from autobatch_proxy.http.routes import NO_ROUTE, SHORTCUTS, add_routes
from autobatch_proxy.http.worker_readiness import READINESS, Readiness
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.models.directory import UNNAMED
from autobatch_proxy.models.model_ends import ModelEnds
from autobatch_proxy.models.served_models import Models
from autobatch_proxy.queue.client import new_worker_id
from autobatch_proxy.request_log import RequestLog
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.server.connections import Runner
from autobatch_proxy.server.idle_connections import IdleConnections
from autobatch_proxy.server.known_heads import KnownHeads
from autobatch_proxy.server.shortcut import usable
from autobatch_proxy.worker_activity import WorkerActivityPublisher
from autobatch_proxy.worker_look import WorkerLook
from autobatch_shared.collector import spare_the_collector
from autobatch_shared.periodic import Periodic
from autobatch_shared.settings.definitions import UP_KEY, ProxySettings
from autobatch_shared.settings.named_files import read_keys
from autobatch_shared.tracing.switch import open_tracing

if TYPE_CHECKING:
    from autobatch_shared.tracing.spans import Tracing

Lifespan = Callable[[web.Application], AsyncIterator[None]]
NONE: Mapping[str, ProxySettings] = MappingProxyType({})


def make_app(settings: ProxySettings, named: Mapping[str, ProxySettings] = NONE) -> web.Application:
    """Build one worker's application. Connections open when it starts and close when it stops.

    Args:
        settings: The worker's.
        named: The same for models that have settings of their own, by name.
    """
    worker, metrics, share = new_worker_id(), WorkerMetrics(), AloneShare()
    tracing = open_tracing("autobatch-proxy")
    input_types = InputTypes(settings.prompts)
    ends = ModelEnds(settings, worker, metrics, input_types, named)
    models = Models(ends.make(UNNAMED), ends.make, settings.aliases)
    access, key_file = _make_access(settings)
    status_page = StatusPage(models, worker, settings.max_client_batch_size)

    def take() -> None:
        metrics.take(models.inputs_in_flight, access.taken())

    looking = Periodic("metrics", WorkerLook(metrics, take, status_page, share, input_types).look)
    activity = WorkerActivityPublisher(
        worker, ends.activities, metrics, take, models.unnamed.queue.now_ms, lambda: models.inputs_in_flight
    )

    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        spare_the_collector()
        ends.open()
        if key_file is not None:
            key_file.open()
        await models.open()
        looking.start()
        activity.start()
        yield
        await looking.close()
        await activity.close()
        if key_file is not None:
            await key_file.close()
        take()
        await models.close()
        await ends.close()

    common = CommonHeaders(worker, settings.cors_origins)
    app = web.Application(client_max_size=settings.payload_limit)
    app.cleanup_ctx.extend((_closing(tracing), lifespan))
    app.on_response_prepare.append(common.add)
    compute = Compute(
        models,
        BodyRoom(settings.max_bodies_mb * 1_000_000, settings.payload_limit),
        settings.request_timeout_ms,
        ModelCheck(settings.aliases) if settings.model_check == "served" else None,
        metrics,
        share,
        common,
        RequestLog(common, settings.slow_ms, is_traced=tracing is not None),
    )
    app[READINESS] = readiness = Readiness(lambda: models.unnamed.queue.is_connected)
    fleet_routes = FleetRoutes(models, readiness, settings.max_client_batch_size, settings.aliases)
    metrics_page = MetricsPage(
        models,
        metrics,
        take,
        waiting_max=settings.max_queue_size,
        timeout_max_s=settings.request_timeout_ms / 1000,
        has_cache=settings.cache_ttl_s > 0,
    )
    dashboard = Dashboard(ends.activities, fleet_routes.health)
    pages = Pages(fleet_routes, DocsPage(), status_page, metrics_page, dashboard)

    def handler_of(route: Route) -> Handler:
        return _traced(compute.handler(route), route.path, tracing) if route.page is None else route.page(pages)

    all_routes = routes(settings.embed_answer)
    shapes = RouteShapes({route.path: route.errors for route in all_routes})
    elsewhere = ModelPaths(models, app, common, shapes, partial(metrics.refused_at_once, NO_ROUTE)).handler
    add_routes(
        app, all_routes, handler_of, access, elsewhere, metrics.refused_at_once, _plain_of(compute, access, tracing)
    )
    return app


def _closing(tracing: "Tracing | None") -> Lifespan:
    async def closing(_app: web.Application) -> AsyncIterator[None]:
        yield
        if tracing is not None:
            await tracing.close()

    return closing


def _traced(handler: Handler, path: str, tracing: "Tracing | None") -> Handler:
    """Return the handler of a route, with a span for each request where traces are on."""
    if tracing is None:
        return handler
    from autobatch_proxy.request_spans import with_span  # noqa: PLC0415 - its packages are an extra

    return with_span(handler, path, tracing.tracer)


def _plain_of(compute: Compute, access: Access, tracing: "Tracing | None") -> Callable[[Route], PlainRoute | None]:
    """Return what answers the plain requests of a route: nothing where traces are on, for a span is begun with the handler."""
    return lambda route: PlainRoute(compute, route, access) if tracing is None else None


def _make_access(settings: ProxySettings) -> tuple[Access, KeyFile | None]:
    own = tuple(filter(None, [os.environ.get(UP_KEY)]))
    if settings.api_keys_file is None:
        return Access((*settings.keys, *own)), None
    access = Access((*settings.keys, *read_keys(settings.api_keys_file), *own))
    return access, KeyFile(settings.api_keys_file, lambda keys: access.take((*settings.keys, *keys, *own)))


async def make_runner(settings: ProxySettings, named: Mapping[str, ProxySettings] = NONE) -> web.AppRunner:
    """Return what aiohttp's gunicorn worker runs."""
    app = make_app(settings, named)
    shortcuts = app[SHORTCUTS]
    runner = Runner(
        app,
        shortcuts=usable(shortcuts),
        heads=KnownHeads(),
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
