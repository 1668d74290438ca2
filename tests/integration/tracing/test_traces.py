"""One trace from a client's own span to the upstream, as OpenTelemetry's instrumented client, SDK and protocol see it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.integration.tracing.collector import CLIENT, CONSUMER, INTERNAL, SERVER, Collector, SeenSpan, listening
from tests.support.fake_upstream import FakeUpstream, Gate
from tests.support.house import House, ready_house
from tests.support.waiting import wait_until

UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector to which all processes send, soon after a span has ended."""
    async with listening() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        yield made


@pytest.fixture
async def house(redis_url: str, upstream: FakeUpstream, collector: Collector) -> AsyncIterator[House]:
    assert collector.spans == []
    async with ready_house(redis_url, upstream.url) as made:
        await wait_until(made.knows_the_model)
        yield made


@pytest.fixture
def client_spans() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """What OpenTelemetry's instrumentation of the client writes."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


async def one(collector: Collector, name: str) -> SeenSpan:
    await wait_until(lambda: len(collector.named(name)) == 1)
    return collector.named(name)[0]


async def test_the_clients_span_is_the_parent_of_all_that_follows_up_to_the_upstream(
    house: House,
    upstream: FakeUpstream,
    collector: Collector,
    client_spans: tuple[TracerProvider, InMemorySpanExporter],
) -> None:
    provider, exporter = client_spans
    http = DefaultAsyncHttpxClient()
    HTTPX2ClientInstrumentor.instrument_client(http, tracer_provider=provider)
    async with AsyncOpenAI(api_key="none", base_url=f"{house.url}/v1", http_client=http) as client:
        await client.embeddings.create(model="fake", input=["one", "two"])

    request = await one(collector, "POST /v1/embeddings")
    queue, batch = await one(collector, "queue"), await one(collector, "process house")
    call = await one(collector, "embeddings fake")
    (own,) = exporter.get_finished_spans()
    context = own.get_span_context()
    assert context is not None
    assert {request.trace, queue.trace, batch.trace, call.trace} == {f"{context.trace_id:032x}"}
    assert (request.parent, request.span.kind) == (f"{context.span_id:016x}", SERVER)
    assert (queue.parent, queue.span.kind, queue.links) == (request.id, INTERNAL, {batch.id})
    assert (batch.parent, batch.span.kind, batch.links) == (request.id, CONSUMER, {request.id})
    assert (call.parent, call.span.kind) == (batch.id, CLIENT)
    assert upstream.traceparents == [f"00-{call.trace}-{call.id}-{upstream.traceparents[0][-2:]}"]
    assert upstream.traceparents[0].endswith(("-01", "-03")), "the upstream is told that it is sampled"
    assert {each.service for each in (request, queue)} == {"autobatch-proxy", "autobatch-batcher"}
    assert request.span.start_time_unix_nano <= queue.span.start_time_unix_nano, "it was pushed after it had come"
    assert queue.span.end_time_unix_nano <= batch.span.start_time_unix_nano <= call.span.start_time_unix_nano


async def test_spans_have_the_attributes_of_the_conventions_and_no_text(house: House, collector: Collector) -> None:
    await house.post("/embed", {"inputs": ["a secret text", "another"]}, traceparent=SAMPLED)

    request = (await one(collector, "POST /embed")).attributes
    batch = (await one(collector, "process house")).attributes
    call = (await one(collector, "embeddings fake")).attributes
    expected = {
        "http.request.method": "POST",
        "http.route": "/embed",
        "url.path": "/embed",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "fake",
        "autobatch.request.inputs": 2,
        "autobatch.batch.inputs": 2,
    }
    assert request.items() >= expected.items()
    assert batch.items() >= {"messaging.batch.message_count": 1, "messaging.system": "redis"}.items()
    assert call.items() >= {"server.address": "127.0.0.1", "http.response.status_code": 200}.items()
    assert call.items() >= {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "fake"}.items()
    await wait_until(lambda: len(collector.spans) == 4)
    assert "secret" not in str(collector.spans)


async def test_a_batch_is_linked_to_each_of_its_requests(
    house: House, upstream: FakeUpstream, collector: Collector
) -> None:
    upstream.behave = gate = Gate()
    first = asyncio.create_task(house.embed("first"))
    await wait_until(lambda: upstream.calls)
    others = [asyncio.create_task(house.embed(f"text {number}")) for number in range(30)]
    await wait_until(lambda: house.holds(31))
    gate.opened.set()
    await asyncio.gather(first, *others)

    await wait_until(lambda: len(collector.named("POST /embed")) == 31)
    await wait_until(lambda: len(collector.named("process house")) == len(upstream.calls))
    linked = [span.links for span in collector.named("process house")]
    assert {span.id for span in collector.named("POST /embed")} == set().union(*linked)
    assert sum(map(len, linked)) == 31, "each is in one batch"
    assert max(map(len, linked)) > 1, "and some share one"


async def test_a_request_that_its_client_does_not_sample_is_in_no_trace(
    house: House, upstream: FakeUpstream, collector: Collector
) -> None:
    await house.post("/embed", {"inputs": "unseen"}, traceparent=UNSAMPLED)
    await house.post("/embed", {"inputs": "seen"}, traceparent=SAMPLED)

    await one(collector, "POST /embed")
    await one(collector, "embeddings fake")
    assert {span.trace for span in collector.spans} == {SAMPLED[3:35]}
    assert ["", SAMPLED[3:35]] == [each[3:35] for each in upstream.traceparents]


async def test_a_failing_call_is_an_error_in_its_span_and_in_all_above_it(
    house: House, upstream: FakeUpstream, collector: Collector
) -> None:
    upstream.refuses["/embed"] = 500
    answer = await house.post("/embed", {"inputs": "text"}, x_request_timeout_ms="3000")

    request, batch = await one(collector, "POST /embed"), await one(collector, "process house")
    calls = collector.named("embeddings fake")
    assert answer.status >= 500
    assert request.is_error
    assert batch.is_error
    assert [(span.is_error, span.attributes["error.type"]) for span in calls] == [(True, "500")] * len(calls) != []
    assert request.attributes["error.type"] == str(answer.status)


async def test_a_collector_that_is_away_costs_no_request_its_answer_and_no_stop_its_time(
    redis_url: str, upstream: FakeUpstream, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{unused_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setattr("autobatch_shared.tracing.spans.CLOSE_MAX_S", 0.1)
    async with asyncio.timeout(60), ready_house(redis_url, upstream.url) as house:
        answers = await house.embed_each([f"text {number}" for number in range(50)])

    assert [200] * 50 == [status for status, _ in answers]
