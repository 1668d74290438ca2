"""What `up` says while it waits for the servers that its settings name."""

import asyncio
from contextlib import suppress

from aiohttp import web
from pydantic import SecretStr

from autobatch_console.up.settings import UpSettings
from autobatch_console.up.survey import WaitedFor
from tests.support.fake_upstream import FakeUpstream
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until


async def test_a_redis_that_stops_taking_writes_during_a_start_is_named(own_redis: RedisServer) -> None:
    own_redis.start("--min-replicas-to-write", "1")
    said: list[str] = []
    settings = UpSettings.model_validate({"redis_url": SecretStr(own_redis.url)})
    waited_for = WaitedFor(settings, [settings], [], "http://127.0.0.1:1", look_every_s=0.01)
    await until_named(waited_for, said)

    (reason,) = said
    assert reason.startswith("REDIS_URL: ")
    assert "NOREPLICAS" in reason
    assert waited_for.reasons == said


async def test_an_upstream_that_only_the_batcher_finds_unusable_is_named(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """As a model whose tensors are not such as make vectors: the preflight asks for less than a batcher."""

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"error": "unhealthy", "waits_for": {upstream.url: "not such a model"}}, status=503)

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    said: list[str] = []
    settings = UpSettings.model_validate({"redis_url": SecretStr(redis_url), "inference_url": upstream.url})
    batcher_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    waited_for = WaitedFor(settings, [settings], [], batcher_url, look_every_s=0.01)
    try:
        await until_named(waited_for, said)
    finally:
        await runner.cleanup()

    assert said == [f"batcher: waits for {upstream.url}: not such a model"]


async def until_named(waited_for: WaitedFor, said: list[str]) -> None:
    """Let it look until something was said."""
    naming = asyncio.create_task(waited_for.name_changes(said.append))
    try:
        await wait_until(lambda: said)
    finally:
        naming.cancel()
        with suppress(asyncio.CancelledError):
            await naming
