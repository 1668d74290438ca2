"""The HTTP edge: routes, and what each does with a body. Every collaborator is made here and passed in."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch.collector import spare_the_collector
from autobatch.control import Control, connect
from autobatch.errors import AutobatchError, DeadlineExceeded, InvalidRequest
from autobatch.job_queue import WorkerQueue
from autobatch.keys import Keys
from autobatch.periodic import Periodic
from autobatch.redis_address import Address
from autobatch.redis_link import RedisLink
from autobatch.result_cache import ResultCache
from autobatch.settings import ProxySettings
from proxy.answers import JSON, answer, error_response
from proxy.desk import Desk, new_worker_id
from proxy.lengths import Ruler, make_ruler
from proxy.metrics import CONTENT_TYPE, Metrics
from proxy.parsing import plan_embed
from proxy.pieces import Rules
from proxy.recall import Recall
from proxy.request_headers import PRIORITY_HEADER, TIMEOUT_HEADER, asks_bulk, timeout_s
from proxy.watcher import FleetWatcher

TEXT = {"Content-Type": "text/plain; charset=utf-8"}
METRICS_EVERY_S = 1.0  # how old the numbers may be that another worker is asked for


class Edge:
    """The handlers of one worker."""

    def __init__(
        self,
        settings: ProxySettings,
        ruler: Ruler,
        desk: Desk,
        recall: Recall | None,
        watcher: FleetWatcher,
        metrics: Metrics,
    ) -> None:
        self._rules = Rules(ruler, settings.max_client_batch_size, settings.bulk_above_inputs)
        self._timeout_max_ms = settings.request_timeout_ms
        self._desk = desk
        self._recall = recall
        self._watcher = watcher
        self._metrics = metrics

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """`POST /embed`: everyone's own vectors, in TEI's shape."""
        started = time.perf_counter()
        response: web.StreamResponse
        try:
            response = await self._embed(request)
        except AutobatchError as error:
            response = error_response(error)
        except web.HTTPRequestEntityTooLarge:
            body = b"Failed to buffer the request body: length limit exceeded"
            response = web.Response(status=413, body=body, headers=TEXT)
        self._metrics.answered("/embed", response.status, time.perf_counter() - started)
        return response

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        headers = request.headers
        plan = plan_embed(
            body,
            headers.get("Content-Type"),
            self._rules,
            self._watcher.allowed,
            asks_bulk=asks_bulk(headers.get(PRIORITY_HEADER)),
        )
        timeout_s = self._timeout_s(request)
        if self._recall is None:
            return answer(plan.pieces, await self._desk.ask(plan, "/embed", timeout_s))
        return answer(*await self._recall.ask(plan, "/embed", timeout_s))

    async def _body(self, request: web.Request) -> bytes:
        """Read the body; one that is not here yet may take as long as the request may."""
        if request.content.is_eof():  # nearly always: it came with its headers
            return await request.read()
        try:
            async with asyncio.timeout(self._timeout_s(request)):
                return await request.read()
        except TimeoutError as exc:
            raise DeadlineExceeded("The request's body did not arrive in time") from exc
        except aiohttp.ClientPayloadError as exc:
            raise InvalidRequest("The request's body is broken") from exc

    def _timeout_s(self, request: web.Request) -> float:
        return timeout_s(request.headers.get(TIMEOUT_HEADER), self._timeout_max_ms)

    async def health(self, _request: web.Request) -> web.Response:
        """`GET /health`: 200 when this worker reaches Redis, and a batcher and its upstream are well."""
        if self._desk.is_connected and self._watcher.fleet.is_healthy:
            return web.Response()
        return web.Response(status=503, body=b'{"error":"unhealthy","error_type":"Unhealthy"}', headers=JSON)

    async def info(self, _request: web.Request) -> web.Response:
        """`GET /info`: the upstream's own."""
        info = self._watcher.fleet.info
        if info is None:
            body = b'{"error":"no upstream has told its /info yet","error_type":"Unhealthy"}'
            return web.Response(status=503, body=body, headers=JSON)
        return web.Response(body=info, headers=JSON)

    async def metrics(self, _request: web.Request) -> web.Response:
        """`GET /metrics` of all workers of this gunicorn."""
        self._metrics.take(self._desk, self._recall)
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})


async def not_found(_request: web.Request) -> web.Response:
    """An unknown path, answered as TEI does."""
    return web.Response(status=404)


def make_app(settings: ProxySettings) -> web.Application:
    """Build one worker's application. Connections open when it starts and close when it stops."""
    url = settings.redis_url.get_secret_value()
    keys, worker = Keys(settings.namespace), new_worker_id()
    link, inbox_link = (RedisLink(Address.from_url(url), f"{worker}-{use}") for use in ("commands", "inbox"))
    desk = Desk(WorkerQueue(link, inbox_link, keys, worker), link, inbox_link, worker, settings.max_queue_size)
    ruler = make_ruler(settings.tokenizer_file)
    watcher = FleetWatcher(Control(connect(url), keys), inputs_max=settings.max_batch_size, per_token=ruler.per_token)
    metrics = Metrics()
    cache_link, recall = None, None
    if settings.cache_ttl_s:
        cache_link = RedisLink(Address.from_url(url), f"{worker}-cache")  # of its own: rows are large, pushes urgent
        bytes_max = settings.cache_max_mb * 1_000_000
        cache = ResultCache(cache_link, keys, ttl_s=settings.cache_ttl_s, bytes_max=bytes_max)
        recall = Recall(desk, cache, lambda: watcher.fleet.model)
    edge = Edge(settings, ruler, desk, recall, watcher, metrics)

    def bring_metrics_over() -> None:
        metrics.take(desk, recall)

    async def count() -> float:
        bring_metrics_over()
        return METRICS_EVERY_S

    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        counting = Periodic("metrics", count)
        spare_the_collector()
        if cache_link is not None:
            cache_link.start()
        await desk.open()
        watcher.open()
        counting.start()
        yield
        await counting.close()
        bring_metrics_over()
        await watcher.close()
        if recall is not None and cache_link is not None:
            await recall.close()
            await cache_link.close()
        await desk.close()

    app = web.Application(client_max_size=settings.payload_limit)
    app.cleanup_ctx.append(lifespan)
    for method, path, handler in (
        ("POST", "/embed", edge.embed),
        ("GET", "/health", edge.health),
        ("GET", "/info", edge.info),
        ("GET", "/metrics", edge.metrics),
    ):
        methods = ("GET", "HEAD") if method == "GET" else (method,)
        for each in methods:
            app.router.add_route(each, path, handler)
        app.router.add_route("*", path, method_not_allowed(",".join(methods)))
    app.router.add_route("*", "/{path:.*}", not_found)
    return app


def method_not_allowed(allowed: str) -> Handler:
    """Return a handler that answers 405 as TEI does."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=405, headers={"Allow": allowed})

    return handler


async def make_runner(settings: ProxySettings) -> web.AppRunner:
    """Return what aiohttp's gunicorn worker runs."""
    return web.AppRunner(
        make_app(settings),
        handler_cancellation=True,  # a client that leaves must free its place in the queue
        keepalive_timeout=75,  # above nginx's 60 s, so that nginx and not we close an idle connection
        access_log=None,  # nginx writes the only one
        auto_decompress=False,  # as the upstream: a compressed body is no JSON
        shutdown_timeout=settings.request_timeout_ms / 1000,
    )
