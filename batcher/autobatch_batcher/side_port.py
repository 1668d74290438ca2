"""The batcher's own port: `/health`, `/live` and `/metrics`, for supervisors and Prometheus.

`/metrics?upstream=1` has the upstreams' own metrics, such as TEI's `te_*`: for an upstream that only batchers reach.
"""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import aiohttp
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from autobatch_batcher.dialects.base import Get
from autobatch_batcher.metrics import Metrics, ProcessMetrics, render
from autobatch_batcher.reporter import Reporter
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.contract.errors import UpstreamError
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.refusals import RefusingRunner, without_server

log = logging.getLogger(__name__)

PROMETHEUS_TEXT = {"Content-Type": CONTENT_TYPE_LATEST}
ASK = Get("/metrics")
UPSTREAM_MAX_S = 5.0  # below Prometheus' own 10 s
_comment = re.compile(r"# (?:HELP|TYPE) (\S+)").match
_sample = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?( .*)").fullmatch


class SideOf(NamedTuple):
    """What the port says of one model's batcher.

    Attributes:
        model: The model's name; empty: it has none.
        reporter: Knows its health.
        metrics: Its numbers.
        pool: Its upstreams.
        link: Its connection to Redis.
    """

    model: str
    reporter: Reporter
    metrics: Metrics
    pool: Pool
    link: RedisLink


async def open_side_port(host: str, port: int, sides: Sequence[SideOf]) -> web.AppRunner:
    """Serve until the returned runner is cleaned up; `runner.addresses` has the real port."""

    async def health(_request: web.Request) -> web.Response:
        """200 while any of its models is healthy: a restart would not help the others. Otherwise what it waits for, Redis or upstreams, and why."""
        if any(side.reporter.is_healthy for side in sides):
            return web.Response()
        waits_for = {name: why for side in sides for name, why in side.reporter.waits_for.items()}
        if fault := next((side.link.fault for side in sides if side.link.fault), ""):
            waits_for["Redis"] = fault
        return web.json_response({"error": "unhealthy", "error_type": "Unhealthy", "waits_for": waits_for}, status=503)

    async def live(_request: web.Request) -> web.Response:
        """200 while all working loops make turns, whatever Redis and the upstreams do."""
        return web.Response(status=200 if all(side.reporter.loop_moves for side in sides) else 503)

    process = ProcessMetrics()

    async def scrape(request: web.Request) -> web.Response:
        if request.query.get("upstream") == "1":
            body = await upstream_metrics([upstream for side in sides for upstream in side.pool.upstreams])
            return web.Response(body=body, headers=PROMETHEUS_TEXT)
        for _, reporter, metrics, pool, _ in sides:
            metrics.note_redis(
                is_reached=reporter.reaches_redis,
                round_trip_s=reporter.round_trip_s,
                clock_ahead_s=reporter.clock_ahead_s,
            )
            for upstream in pool.upstreams:
                metrics.note_upstream(upstream)
        process.note(sides[0].reporter.use)
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


async def upstream_metrics(upstreams: Sequence[Replica]) -> bytes:
    """Return Prometheus text of what these say at `/metrics`; a comment for each that has no such page."""
    said = await asyncio.gather(*map(_ask, upstreams))
    names = [upstream.name for upstream in upstreams]
    missing = [name for name, text in zip(names, said, strict=True) if text is None]
    head = "".join(f"# {name} has no metrics for Prometheus at {ASK.path}, or does not answer.\n" for name in missing)
    found = {name: text for name, text in zip(names, said, strict=True) if text is not None}
    return (head + together(found)).encode()


def together(said: Mapping[str, str]) -> str:
    """Return Prometheus text of several servers as one: each metric's lines in one place, each sample with its upstream.

    Args:
        said: The text of each upstream, by its name. Names of metrics stay as they are: `te_request_count` ends without `_total`.
    """
    families: dict[str, tuple[list[str], list[str]]] = {}  # comments, samples
    for upstream, text in said.items():
        comments, samples = families.setdefault("", ([], []))
        for line in text.splitlines():
            if (comment := _comment(line)) is not None:
                comments, samples = families.setdefault(comment[1], ([], []))
                if not samples:  # those of the first upstream speak for all
                    comments.append(line)
            elif (sample := _sample(line)) is not None:
                labels = ",".join(filter(None, (sample[2], f'upstream="{upstream}"')))
                samples.append(f"{sample[1]}{{{labels}}}{sample[3]}")
    return "".join(f"{line}\n" for comments, samples in families.values() for line in (*comments, *samples))


async def _ask(upstream: Replica) -> str | None:
    try:
        async with asyncio.timeout(UPSTREAM_MAX_S):
            status, body = await upstream.client.fetch(ASK)
        return body.decode() if status == 200 else None
    except (aiohttp.ClientError, UpstreamError, OSError, UnicodeDecodeError) as error:  # TimeoutError is an OSError
        log.info("upstream_metrics_unread", extra={"upstream": upstream.name, "error": str(error)})
        return None
