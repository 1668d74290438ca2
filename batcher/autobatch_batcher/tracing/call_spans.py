"""The span of each call to an upstream, which the upstream is told of: retries, halves and counts of tokens have their own.

Names and attributes are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
from opentelemetry.trace import SpanKind, Tracer, get_current_span
from opentelemetry.util.types import AttributeValue

from autobatch_batcher.dialects.base import Answer, Post
from autobatch_batcher.upstreams.clients.upstream_client import UpstreamClient
from autobatch_batcher.upstreams.standing import Standing
from autobatch_shared.contract.errors import UpstreamError
from autobatch_shared.settings.choices import is_grpc
from autobatch_shared.tracing.spans import headers_of, mark_failed

EMBEDDINGS = ("/embed", "/embed_all", "/embed_sparse", "/v1/embeddings", "/embeddings")  # paths that compute vectors


class TracedClient:
    """Sends what another client sends; a call within the span of a batch has a span of its own.

    Args:
        client: Sends it.
        tracer: Starts spans.
        url: Of the upstream, which may be shown.
        standing: Knows the model that the upstream serves.
    """

    def __init__(self, client: UpstreamClient, tracer: Tracer, url: str, standing: Standing) -> None:
        self._client = client
        self._tracer = tracer
        self._url = url
        self._standing = standing
        self.fetch = client.fetch
        self.listens = client.listens

    @property
    def connected_s(self) -> float:
        """As of the client."""
        return self._client.connected_s

    @connected_s.setter
    def connected_s(self, value: float) -> None:
        self._client.connected_s = value

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call; what is raised is what the client raises."""
        if not get_current_span().is_recording():
            return await self._client.send(post, timeout_s)
        served = self._standing.served
        model = "" if served is None else served.name
        is_embedding = post.path in EMBEDDINGS
        attributes = dict(_asked(self._url, post, model, is_embedding=is_embedding))
        name = f"embeddings {model}".strip() if is_embedding else f"POST {post.path}"
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        try:
            answer = await self._client.send(msgspec.structs.replace(post, trace=headers_of(span)), timeout_s)
            if not is_grpc(self._url):
                span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= 400:
                mark_failed(span, str(answer.status))
        except UpstreamError as error:
            mark_failed(span, error.cause or error.code)
            raise
        except BaseException as error:
            mark_failed(span, type(error).__name__)
            raise
        else:
            return answer
        finally:
            span.end()


def _asked(url: str, post: Post, model: str, *, is_embedding: bool) -> Iterator[tuple[str, AttributeValue]]:
    parts = urlsplit(url)
    yield "server.address", parts.hostname or ""
    if parts.port is not None:
        yield "server.port", parts.port
    if not is_grpc(url):
        yield "http.request.method", "POST"
        yield "http.request.body.size", len(post.body)
        yield "url.full", url + post.path
    if is_embedding:
        yield "gen_ai.operation.name", "embeddings"
    if model:
        yield "gen_ai.request.model", model
