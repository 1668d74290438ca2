"""Redis for everything that is not per request: reports of batchers, depths of queues. Through redis-py."""

from typing import cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import REPORTS_TTL_MS, Keys
from autobatch_shared.contract.models import decode_model
from autobatch_shared.contract.status import BatcherStatus, Fleet, encode

TIMEOUT_S = 2.0


def connect(url: str) -> "Redis":
    """Return a client that gives up soon and never repeats a command by itself."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=2,
        timeout=TIMEOUT_S,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        # Both would be asked for at every connection, and refused where the user may do only what it must.
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)


class Control:
    """Reports and depths of one namespace."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def report(self, batcher: str, status: BatcherStatus) -> None:
        """Publish what a batcher is doing."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(self._keys.batchers, batcher, encode(status))
                pipe.pexpire(self._keys.batchers, REPORTS_TTL_MS)
                await pipe.execute()
        except (RedisError, OSError) as exc:
            raise QueueUnavailable from exc

    async def sign_off(self, batcher: str) -> None:
        """Take a batcher that stops out of the reports."""
        try:
            await self._redis.hdel(self._keys.batchers, batcher)
        except (RedisError, OSError) as exc:
            raise QueueUnavailable from exc

    async def fleet(self) -> Fleet:
        """Return the batchers that reported lately, and the namespace's model."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.hgetall(self._keys.batchers)
                pipe.get(self._keys.model)
                (seconds, micros), reports, model = cast(
                    "tuple[tuple[int, int], dict[bytes, bytes], bytes | None]", tuple(await pipe.execute())
                )
        except (RedisError, OSError) as exc:
            raise QueueUnavailable from exc
        return Fleet(reports.values(), seconds * 1000 + micros // 1000, decode_model(model))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
