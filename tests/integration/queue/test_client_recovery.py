"""A client that fetches what it may have missed loses nothing that comes meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from autobatch_bench.checking.oracle import answer
from autobatch_proxy.queue.client import QueueClient, QueueCounts, new_worker_id
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.keys import Keys
from autobatch_shared.count import Count
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.support.clerk import open_clerk

PLAN = Plan([PlannedJob(1, "merge", b'["text"]')], "/embed")
Queue = TypeVar("Queue", bound=WorkerQueue)


class Interrupted(WorkerQueue):
    """The queue, with something happening right after replies were looked for the first time."""

    then: Callable[[], Awaitable[None]] | None = None

    async def read_replies(self, jobs: Sequence[str]) -> list[bytes | None]:
        found = await super().read_replies(jobs)
        if jobs and self.then is not None:
            then, self.then = self.then, None
            await then()
        return found


class Expiring(WorkerQueue):
    """The queue; a reply is gone when it is read, as after a step of Redis's clock beyond its lifetime."""

    gone: str | None = ""  # None: the next one

    async def read_replies(self, jobs: Sequence[str]) -> list[bytes | None]:
        found = await super().read_replies(jobs)
        for job, frame in zip(jobs, found, strict=True):
            if frame is not None and self.gone is None:
                self.gone = job
                await self.delete_replies([job])
        return [None if job == self.gone else frame for job, frame in zip(jobs, found, strict=True)]


@asynccontextmanager
async def client_of(kind: type[Queue], redis_url: str) -> AsyncIterator[tuple[QueueClient, Queue]]:
    """A client that is connected and not yet opened."""
    worker = new_worker_id()
    link, inbox_link = (
        RedisLink(Master.from_url(redis_url, Keys("house")), f"{worker}-{use}") for use in ("commands", "inbox")
    )
    queue = kind(link, inbox_link, Keys("house"), worker)
    watcher = FleetWatcher(Control(link, Keys("house")), inputs_max=32, per_token=4)
    client = QueueClient(queue, link, inbox_link, worker, 1000, watcher, QueueCounts(Count(), Count(), Count()))
    link.start()
    assert await link.wait_connected(5)
    yield client, queue
    await client.close()
    await watcher.close()


async def test_a_reply_that_comes_while_missed_ones_are_fetched_is_not_thrown_away(redis_url: str) -> None:
    async with open_clerk(redis_url) as clerk, client_of(Interrupted, redis_url) as (client, queue):
        asking = asyncio.create_task(client.ask(PLAN, timeout_s=10))
        (job,) = await clerk.claim(1)

        async def reply() -> None:
            await clerk.reply(job)

        queue.then = reply
        await client.open()  # asks for what it may have missed: nothing is there, and a moment later it is
        ((header, body),) = await asking
    assert (header.status, body) == (200, answer(["text"]))
    assert queue.then is None


async def test_a_job_whose_reply_is_gone_before_it_is_read_is_pushed_again(redis_url: str) -> None:
    async with open_clerk(redis_url) as clerk, client_of(Expiring, redis_url) as (client, queue):
        await client.open()
        before = asyncio.create_task(client.ask(PLAN, timeout_s=10))
        await clerk.reply_all(await clerk.claim(1))
        await before  # so what the client compares when it opens is compared
        queue.gone = None
        asking = asyncio.create_task(client.ask(PLAN, timeout_s=5))
        for _ in range(2):
            await clerk.reply_all(await clerk.claim(1))
        ((header, body),) = await asking
    assert (header.status, body) == (200, answer(["text"]))
    assert queue.gone not in ("", None, header.id)
