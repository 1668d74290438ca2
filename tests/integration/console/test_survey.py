"""What `up` says while it waits for the servers that its settings name."""

import asyncio
from contextlib import suppress

from pydantic import SecretStr

from autobatch_console.up.settings import UpSettings
from autobatch_console.up.survey import WaitedFor
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until


async def test_a_redis_that_stops_taking_writes_during_a_start_is_named(own_redis: RedisServer) -> None:
    own_redis.start("--min-replicas-to-write", "1")
    said: list[str] = []
    settings = UpSettings.model_validate({"redis_url": SecretStr(own_redis.url)})
    waited_for = WaitedFor(settings, [settings], [], look_every_s=0.01)
    naming = asyncio.create_task(waited_for.name_changes(said.append))
    try:
        await wait_until(lambda: said)
    finally:
        naming.cancel()
        with suppress(asyncio.CancelledError):
            await naming

    (reason,) = said
    assert reason.startswith("REDIS_URL: ")
    assert "NOREPLICAS" in reason
    assert waited_for.reasons == said
