"""The server: routes, error answers and headers wired to an engine, and its life from start to SIGTERM."""

import asyncio
import hmac
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from autobatch_embedder.errors import BodyError, TeiError
from autobatch_embedder.http.answers import error_answer
from autobatch_embedder.http.routes import Routes
from autobatch_embedder.metrics import EmbedderMetrics
from autobatch_embedder.model.engine import Engine, EngineLimits
from autobatch_embedder.model.loaded_model import Model
from autobatch_shared.settings.definitions import EmbedderSettings
from autobatch_shared.stopping import PatientRunner

log = logging.getLogger(__name__)

METHODS = ("POST", "GET", "HEAD")  # in the order of TEI's `allow`
CORS = {
    "vary": "origin, access-control-request-method, access-control-request-headers",
    "access-control-allow-origin": "*",
}
PREFLIGHT = {"access-control-allow-methods": "GET,POST", "access-control-allow-headers": "content-type"}

# What a load balancer or a browser asks without credentials needs no key.
_OPEN = frozenset({"/health", "/ping", "/metrics"})
_READING = frozenset({"GET", "HEAD"})

DRAIN_S = 25.0
"""For the requests in flight, and for the rest of a body that a client does not send: Compose and Kubernetes kill after 30 s."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(settings: EmbedderSettings, model: Model) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight."""
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with serving(settings, model) as port:
        log.info("started", extra={"host": settings.embedder_host, "port": port, "model": model.folder.model_id})
        await stopped.wait()
        log.info("draining")
    log.info("stopped")


@asynccontextmanager
async def serving(settings: EmbedderSettings, model: Model, drain_s: float = DRAIN_S) -> AsyncIterator[int]:
    """Listen, and yield the port. On leaving, accept no more and wait for the requests in flight, `drain_s` at most."""
    metrics = EmbedderMetrics()
    limits = EngineLimits(
        batch_inputs_max=settings.embedder_max_client_batch_size,
        inputs_max=settings.embedder_max_concurrent_requests,
        truncate=settings.embedder_auto_truncate,
        joins=settings.embedder_join_requests,
    )
    # A connection brings one request at a time, so a single one brings none while another is computed.
    engine = Engine(model, limits, metrics, is_only_client=lambda: len(runner.connections) == 1)
    key = settings.embedder_api_key
    runner = PatientRunner(
        build(Routes(engine, metrics), metrics, settings.payload_limit, key.get_secret_value() if key else None),
        handler_cancellation=True,  # a client that disconnected must not cost a forward pass
        auto_decompress=False,  # as in TEI: a compressed body is not JSON
        access_log=None,
        shutdown_timeout=drain_s,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.embedder_host, settings.embedder_port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
        engine.close()


def build(routes: Routes, metrics: EmbedderMetrics, payload_limit: int, api_key: str | None) -> web.Application:
    """The application, without a socket."""

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        early = _early_answer(request, api_key)
        if early is not None:
            return early
        try:
            return await handler(request)
        except TeiError as error:
            metrics.failures.labels(error.cause).inc()
            return error_answer(error, request.path)
        except BodyError as error:
            return web.Response(status=error.status, text=error.text)

    app = web.Application(middlewares=[answer_errors], client_max_size=payload_limit)
    app.add_routes(routes.table())
    app.on_response_prepare.append(_set_headers)
    return app


def _early_answer(request: web.Request, api_key: str | None) -> web.Response | None:
    """Answer a preflight, an unknown path, a missing key or a wrong method, in that order: without the body."""
    fault = request.match_info.http_exception
    is_known = not (isinstance(fault, web.HTTPNotFound) or "%" in request.rel_url.raw_path)  # TEI decodes no path
    headers = {}
    if isinstance(fault, web.HTTPMethodNotAllowed) and is_known:
        headers["allow"] = ",".join(method for method in METHODS if method in fault.allowed_methods)
    if request.method == "OPTIONS":
        return web.Response(headers=PREFLIGHT | headers)
    if not is_known:
        return web.Response(status=404)
    if not may_pass(api_key, request.method, request.path, request.headers.get("authorization")):
        return web.Response(status=401, headers=headers)
    return web.Response(status=405, headers=headers) if headers else None


def may_pass(key: str | None, method: str, path: str, authorization: str | None) -> bool:
    """Return whether a request needs no key or has it, as `Authorization: Bearer <key>`, byte for byte.

    Pure: TEI's rules.

    How long that takes says nothing about how much of the key was right.

    Args:
        key: None when everything is open.
        method: Any but OPTIONS; a method that the path does not have needs the key, too.
        path: A path that exists.
        authorization: The header of that name.
    """
    if key is None or path in _OPEN or (path == "/" and method in _READING):
        return True
    given = (authorization or "").encode(errors="surrogateescape")
    return hmac.compare_digest(given, f"Bearer {key}".encode())


async def _set_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("server", None)
    response.headers.update(CORS)
    if request.method == "HEAD":
        # aiohttp omits it if GET's body is empty, too; otherwise it is set by now.
        response.headers.setdefault("content-length", "0")
