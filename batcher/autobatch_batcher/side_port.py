"""The batcher's own port: `/health`, `/live` and `/metrics`, for supervisors and Prometheus.

`/metrics?upstream=1` has the upstreams' own metrics, such as TEI's `te_*`: for an upstream that only batchers reach.
"""

from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from autobatch_batcher.metrics import Metrics, ProcessMetrics, render
from autobatch_batcher.reporter import Reporter
from autobatch_batcher.upstream_metrics import upstream_metrics
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.refusals import RefusingRunner, without_server

PROMETHEUS_TEXT = {"Content-Type": CONTENT_TYPE_LATEST}


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

    process = ProcessMetrics()

    async def scrape(request: web.Request) -> web.Response:
        if request.query.get("upstream") == "1":
            body = await upstream_metrics([upstream for side in sides for upstream in side.pool.upstreams])
            return web.Response(body=body, headers=PROMETHEUS_TEXT)
        for _, reporter, metrics, pool in sides:
            metrics.note_redis(
                is_reached=reporter.reaches_redis,
                round_trip_s=reporter.round_trip_s,
                clock_ahead_s=reporter.clock_ahead_s,
            )
            for upstream in pool.upstreams:
                metrics.note_upstream(upstream)
        process.note(sides[0].reporter.cpu_cores)
        return web.Response(
            body=render([(side.model, side.metrics) for side in sides], process), headers=PROMETHEUS_TEXT
        )

    app = web.Application()
    app.on_response_prepare.append(without_server)
    app.router.add_get("/health", health)
    app.router.add_get("/live", live)
    app.router.add_get("/metrics", scrape)
    runner = RefusingRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
