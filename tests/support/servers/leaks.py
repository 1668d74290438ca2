"""After a test, every key except the queues themselves must have a time to live."""

from redis.asyncio import Redis

QUEUES = (b"jobs", b"jobs:bulk", b"retry", b"suspects")
OF_REQUESTS = (":reply:", ":inbox:", ":claimed:", ":jobs", ":retry", ":suspects")


async def keys_without_ttl(url: str) -> list[str]:
    """Return the keys without a time to live."""
    async with Redis.from_url(url) as redis:
        names = [name async for name in redis.scan_iter()]
        return [
            name.decode()
            for name in names
            if await redis.pttl(name) == -1 and not name.endswith(tuple(b":" + queue for queue in QUEUES))
        ]


async def keys_left(url: str) -> list[str]:
    """Return the keys of requests: none may be left when all have been answered."""
    async with Redis.from_url(url) as redis:
        names = [name.decode() async for name in redis.scan_iter()]
        return [n for n in names if any(part in n for part in OF_REQUESTS)]


async def has_no_keys(redis_url: str) -> bool:
    """Whether none is left: what a worker received it deletes with its next message, or in half a second."""
    return await keys_left(redis_url) == []
