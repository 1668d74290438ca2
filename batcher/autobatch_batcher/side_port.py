"""The batcher's own port: `/health`, `/live` and `/metrics`, for supervisors and Prometheus."""

from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from autobatch_batcher.metrics import Metrics, render
from autobatch_batcher.reporter import Reporter
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.refusals import RefusingRunner, without_server


class SideOf(NamedTuple):
    """What the port says of one model's batcher.

    Attributes:
        model: The model's name; empty: it has none.
        reporter: Knows its health.
        metrics: Its numbers.
        pool: Its upstreams.
    """

    model: str
    reporter: Reporter
    metrics: Metrics
    pool: Pool


async def open_side_port(host: str, port: int, sides: Sequence[SideOf]) -> web.AppRunner:
    """Serve until the returned runner is cleaned up; `runner.addresses` has the real port."""

    async def health(_request: web.Request) -> web.Response:
        """200 while any of its models is healthy: a restart would not help the others."""
        if any(side.reporter.is_healthy for side in sides):
            return web.Response()
        return web.json_response({"error": "unhealthy", "error_type": "Unhealthy"}, status=503)

    async def live(_request: web.Request) -> web.Response:
        """200 while all working loops make turns, whatever Redis and the upstreams do."""
        return web.Response(status=200 if all(side.reporter.loop_moves for side in sides) else 503)

    async def scrape(_request: web.Request) -> web.Response:
        for _, _, metrics, pool in sides:
            metrics.in_flight.set(pool.calls_in_flight)
            for upstream in pool.upstreams:
                metrics.note_tuning(upstream.name, upstream.tuner)
                metrics.upstream_on_duty.labels(upstream.name).set(upstream.duty.is_on)
                metrics.upstream_excluded.labels(upstream.name).set(not upstream.is_included)
        body = render([(side.model, side.metrics) for side in sides])
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.on_response_prepare.append(without_server)
    app.router.add_get("/health", health)
    app.router.add_get("/live", live)
    app.router.add_get("/metrics", scrape)
    runner = RefusingRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
