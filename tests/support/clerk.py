"""The batcher's end of a queue, driven by the test itself: it sees each job, and gives any reply."""

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from autobatch_bench.checking.oracle import answer
from autobatch_shared.contract.frames import VERSION, JobHeader, ReplyHeader, decode_job, encode
from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.status import BatcherStatus
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from tests.support.waiting import wait_until

INPUTS_MAX = 100_000
REPORT_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ClerkJob:
    """One claimed job.

    Attributes:
        header: As the worker wrote it.
        body: As the worker wrote it.
        is_bulk: Whether it was in the bulk queue.
    """

    header: JobHeader
    body: bytes
    is_bulk: bool

    @property
    def texts(self) -> list[str]:
        """The inputs."""
        texts: list[str] = orjson.loads(self.body)
        return texts


class Clerk:
    """Claims all queued jobs on demand, and replies."""

    def __init__(self, queue: BatcherQueue) -> None:
        self._queue = queue

    async def claim(self, count: int) -> list[ClerkJob]:
        """Wait until there are `count` jobs, and claim them."""
        jobs: list[ClerkJob] = []

        async def has_all() -> bool:
            claim = await self._queue.claim(INPUTS_MAX, 0, bulk=INPUTS_MAX)
            frames = itertools.chain(((f, False) for f in claim.fresh), ((f, True) for f in claim.bulk))
            jobs.extend(ClerkJob(*decode_job(frame), is_bulk) for frame, is_bulk in frames)
            return len(jobs) >= count

        await wait_until(has_all)
        assert len(jobs) == count
        return jobs

    async def reply(self, job: ClerkJob, body: bytes | None = None, status: int = 200, **header: Any) -> None:
        """Answer a job: with its vectors, or with `body`. The others are fields of `ReplyHeader`."""
        body = answer(job.texts) if body is None else body
        await self._queue.reply([(job.header.id, encode(ReplyHeader(job.header.id, status, **header), body))])

    async def reply_all(self, jobs: Iterable[ClerkJob]) -> None:
        """Answer jobs with their vectors."""
        for job in jobs:
            await self.reply(job)


@asynccontextmanager
async def open_clerk(redis_url: str) -> AsyncIterator[Clerk]:
    """A clerk for the workers of this Redis that start after it; it reports as a batcher without upstreams does."""
    async with AsyncExitStack() as stack:
        link = RedisLink(Master.from_url(redis_url, Keys("house")), "clerk")
        link.start()
        stack.push_async_callback(link.close)
        assert await link.wait_connected(60)
        queue = BatcherQueue(link, link, Keys("house"), "clerk", lease_ms=60_000, reply_ttl_ms=60_000)
        control = Control(link, Keys("house"))

        async def report() -> float:
            await control.report("clerk", BatcherStatus(int(await queue.redis_ms()), 0, [], frame_version=VERSION))
            return REPORT_EVERY_S

        await report()
        reporting = Periodic("clerk", report)
        reporting.start()
        stack.push_async_callback(reporting.close)
        yield Clerk(queue)
