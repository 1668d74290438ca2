"""A collector of traces, and the only code that reads what is sent to it is OpenTelemetry's own protocol definition."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SERVER, INTERNAL, CLIENT, CONSUMER = (
    Span.SPAN_KIND_SERVER,
    Span.SPAN_KIND_INTERNAL,
    Span.SPAN_KIND_CLIENT,
    Span.SPAN_KIND_CONSUMER,
)


@dataclass(frozen=True)
class SeenSpan:
    """A span that was sent."""

    service: str
    span: Span

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def links(self) -> set[str]:
        return {link.span_id.hex() for link in self.span.links}

    @property
    def attributes(self) -> dict[str, object]:
        return facts(self.span.attributes)

    @property
    def is_error(self) -> bool:
        return self.span.status.code == self.span.status.STATUS_CODE_ERROR


@dataclass
class Collector:
    """What was sent to one port."""

    spans: list[SeenSpan] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[SeenSpan]:
        return [span for span in self.spans if span.name == name]

    async def take(self, request: web.Request) -> web.Response:
        """Take one export."""
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            service = str(facts(resource.resource.attributes)["service.name"])
            self.spans += [SeenSpan(service, span) for scope in resource.scope_spans for span in scope.spans]
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")


def facts(attributes: Sequence[KeyValue]) -> dict[str, object]:
    """Return attributes as a dictionary."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


@asynccontextmanager
async def listening() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.port = runner.addresses[0][1]
    yield collector
    await runner.cleanup()
