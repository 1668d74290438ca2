"""The span of each request, from its headers to its answer. To be imported only where traces are on.

Names and attributes are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/; what it has no word for begins with `autobatch.`.
"""

from collections.abc import Iterator

from aiohttp import web
from aiohttp.typedefs import Handler
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.util.types import AttributeValue

from autobatch_proxy.account import ACCOUNT, TRACE, Account
from autobatch_shared.tracing.spans import headers_of, mark_failed, parent_in

EMBED = "/embed"  # with it begin the routes that compute vectors


def with_span(handler: Handler, path: str, tracer: Tracer) -> Handler:
    """Return a handler that does the same in a span; its parent is the one that the client names in `traceparent`.

    Args:
        handler: Answers the requests of a route.
        path: The route.
        tracer: Starts spans, or decides that a request is not traced.
    """
    name = f"POST {path}"

    async def handle(request: web.Request) -> web.StreamResponse:
        span = tracer.start_span(name, parent_in(request.headers), SpanKind.SERVER, dict(_asked(request, path)))
        if not span.is_recording():
            return await handler(request)
        request[TRACE] = headers_of(span)
        try:
            response = await handler(request)
        except BaseException as error:  # the client left
            _end(span, request, type(error).__name__)
            raise
        span.set_attribute("http.response.status_code", response.status)
        _end(span, request, str(response.status) if response.status >= 500 else "")
        return response

    return handle


def _asked(request: web.Request, path: str) -> Iterator[tuple[str, AttributeValue]]:
    """What is known when a request comes, by which a sampler may decide."""
    yield "http.request.method", request.method
    yield "http.route", path
    yield "url.path", request.rel_url.raw_path
    yield "url.scheme", request.headers.get("X-Forwarded-Proto", request.scheme)
    if agent := request.headers.get("User-Agent"):
        yield "user_agent.original", agent


def _answered(account: Account) -> Iterator[tuple[str, AttributeValue]]:
    """What is known of a request once its replies have come."""
    yield "http.request.body.size", account.body_bytes
    yield "autobatch.request.inputs", account.inputs
    yield "autobatch.request.jobs", account.jobs
    if account.batch:
        yield "autobatch.batch.inputs", account.batch
        yield "autobatch.queue.duration_ms", account.queue_us / 1000
        yield "autobatch.upstream.duration_ms", account.upstream_us / 1000
        yield "autobatch.upstream.url", account.upstream
    if account.route.startswith(EMBED):
        yield "gen_ai.operation.name", "embeddings"
    if account.model:
        yield "gen_ai.request.model", account.model
    if account.tokens:
        yield "gen_ai.usage.input_tokens", account.tokens


def _end(span: Span, request: web.Request, error: str) -> None:
    if (account := request.get(ACCOUNT)) is not None:
        span.set_attributes(dict(_answered(account)))
    if error:
        mark_failed(span, error)
    span.end()
