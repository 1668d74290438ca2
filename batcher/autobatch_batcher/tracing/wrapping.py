"""What writes spans around calls and batches, where traces are on. The only module here that is imported where they are off."""

from typing import TYPE_CHECKING

from autobatch_batcher.calling.outcomes import AnsweringBatches
from autobatch_batcher.upstreams.clients.upstream_client import UpstreamClient
from autobatch_batcher.upstreams.standing import Standing
from autobatch_shared.redis.clock import RedisClock

if TYPE_CHECKING:
    from autobatch_shared.tracing.spans import Tracing


def traced_caller(
    caller: AnsweringBatches, tracing: "Tracing | None", clock: RedisClock, namespace: str
) -> AnsweringBatches:
    """Return the caller, with a span for each batch where traces are on."""
    if tracing is None:
        return caller
    from autobatch_batcher.tracing.batch_spans import TracedCaller  # noqa: PLC0415 - its packages are an extra

    return TracedCaller(caller, tracing.tracer, clock, namespace)


def traced_client(client: UpstreamClient, tracing: "Tracing | None", name: str, standing: Standing) -> UpstreamClient:
    """Return the client of an upstream, with a span for each call where traces are on; `name` is its URL, which may be shown."""
    if tracing is None:
        return client
    from autobatch_batcher.tracing.call_spans import TracedClient  # noqa: PLC0415 - its packages are an extra

    return TracedClient(client, tracing.tracer, name, standing)
