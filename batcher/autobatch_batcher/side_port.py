"""The batcher's own port: `/health`, `/live` and `/metrics`, for supervisors and Prometheus."""

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from autobatch_batcher.metrics import Metrics
from autobatch_batcher.reporter import Reporter
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.refusals import RefusingRunner, without_server


async def open_side_port(host: str, port: int, reporter: Reporter, metrics: Metrics, pool: Pool) -> web.AppRunner:
    """Serve until the returned runner is cleaned up; `runner.addresses` has the real port."""

    async def health(_request: web.Request) -> web.Response:
        if reporter.is_healthy:
            return web.Response()
        return web.json_response({"error": "unhealthy", "error_type": "Unhealthy"}, status=503)

    async def live(_request: web.Request) -> web.Response:
        """200 while the working loop makes turns, whatever Redis and the upstreams do."""
        return web.Response(status=200 if reporter.loop_moves else 503)

    async def scrape(_request: web.Request) -> web.Response:
        metrics.in_flight.set(pool.calls_in_flight)
        for upstream in pool.upstreams:
            metrics.note_tuning(upstream.name, upstream.tuner)
            metrics.upstream_on_duty.labels(upstream.name).set(upstream.duty.is_on)
            metrics.upstream_excluded.labels(upstream.name).set(not upstream.is_included)
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.on_response_prepare.append(without_server)
    app.router.add_get("/health", health)
    app.router.add_get("/live", live)
    app.router.add_get("/metrics", scrape)
    runner = RefusingRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
