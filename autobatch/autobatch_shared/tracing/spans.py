"""The spans of one process on their way to a collector. To be imported only where `switch.is_on`.

OpenTelemetry's SDK reads its own variables: sampler, limits, resource, endpoint, headers. A thread of its own sends what has
ended, so that no request waits for the collector; what it cannot send is dropped.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from autobatch_shared.install_hints import DISTRIBUTION

log = logging.getLogger(__name__)

CLOSE_MAX_S = 2.0  # for the last spans: the SDK would wait up to 30 s for an unavailable collector

_w3c = TraceContextTextMapPropagator()


class Tracing:
    """Starts spans and sends them. To be made after the fork, because its thread would not survive one.

    Attributes:
        tracer: Starts spans.

    Args:
        service: The name of the service, where OpenTelemetry's variables give none.
    """

    def __init__(self, service: str) -> None:
        self._exporter = OTLPSpanExporter()
        self._provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("autobatch", version(DISTRIBUTION))

    async def close(self) -> None:
        """Send what has ended, for CLOSE_MAX_S at most."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop has ended, and with it all that waited
                loop.call_soon_threadsafe(done.set)

        thread = threading.Thread(target=shut_down, name="close-tracing", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(CLOSE_MAX_S):
                await done.wait()
        except TimeoutError:
            log.warning("spans_lost")
            # Ends its pauses between tries, and with them the thread.
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


def parent_in(headers: Mapping[str, str]) -> Context:
    """Return the context of the span that `traceparent` names; without one, an empty context."""
    return _w3c.extract(headers, Context())


def headers_of(span: Span) -> dict[str, str]:
    """Return the headers that name a span to whom it calls."""
    headers: dict[str, str] = {}
    _w3c.inject(headers, set_span_in_context(span, Context()))
    return headers


def mark_failed(span: Span, error: str) -> None:
    """Say of a span that it failed: with which status, or with which kind of error."""
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)


def _resource(service: str) -> Resource:
    instance = f"{socket.gethostname()}-{os.getpid()}"
    found = Resource.create({SERVICE_INSTANCE_ID: instance, SERVICE_VERSION: version(DISTRIBUTION)})
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):  # the SDK's word for none
        found = found.merge(Resource({SERVICE_NAME: service}))
    return found
