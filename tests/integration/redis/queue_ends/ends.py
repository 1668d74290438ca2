"""The two ends of the queue, and what the tests of its operations do with them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from autobatch_shared.contract.frames import VERSION, JobHeader, encode
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.batcher_queue import BatcherQueue, Claim
from autobatch_shared.redis.commands import Commands
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from fakeredis import FakeAsyncRedis

KEYS = Keys("test")
LEASE_MS = 200  # short, so that its end can be waited for
NO_LIMIT = 1_000_000
LATER_MS = 4_000_000_000_000


@dataclass
class QueueEnds:
    """A worker's end and any number of batchers' ends of one queue."""

    link: Commands
    blocking: Commands
    redis: "Redis | FakeAsyncRedis"

    @property
    def worker(self) -> WorkerQueue:
        return WorkerQueue(self.link, self.blocking, KEYS, "w1")

    def batcher(self, name: str, lease_ms: int = 60_000) -> BatcherQueue:
        return BatcherQueue(self.link, self.blocking, KEYS, name, lease_ms=lease_ms, reply_ttl_ms=60_000)


@asynccontextmanager
async def linked(url: str, admin_url: str) -> AsyncIterator[QueueEnds]:
    async with AsyncExitStack() as stack:
        links = [RedisLink(Master.from_url(url, KEYS), name) for name in ("commands", "blocking")]
        for link in links:
            link.start()
            stack.push_async_callback(link.close)
            assert await link.wait_connected(60)
        yield QueueEnds(links[0], links[1], await stack.enter_async_context(Redis.from_url(admin_url)))


def job(number: int, n: int = 1, at: int = 1) -> bytes:
    return encode(JobHeader(f"w1.{number}", n, at, LATER_MS, "/embed"), b'["text"]')


def everything(claim: Claim) -> list[bytes]:
    return [*claim.suspects, *claim.fresh, *claim.bulk]


async def push(ends: QueueEnds, *numbers: int) -> None:
    assert await ends.worker.push([(False, [job(number)]) for number in numbers], NO_LIMIT) == set()


async def push_bulk(ends: QueueEnds, *numbers: int, n: int = 1) -> None:
    assert await ends.worker.push([(True, [job(number, n=n) for number in numbers])], NO_LIMIT) == set()


async def lose(ends: QueueEnds, name: str, jobs: int = 100) -> None:
    """Let a batcher claim jobs and then fall silent until its lease has ended."""
    await ends.batcher(name, LEASE_MS).claim(jobs, jobs)
    end_ms = await ends.redis.zscore(KEYS.leases, name)
    await wait_until(lambda: is_past(ends, end_ms))


async def is_past(ends: QueueEnds, redis_ms: float | None) -> bool:
    seconds, micros = await ends.redis.time()
    return redis_ms is not None and seconds * 1000 + micros / 1000 > redis_ms + 1


def of_version(frame: bytes, version: int) -> bytes:
    return frame.replace(b'"v":%d' % VERSION, b'"v":%d' % version, 1)
