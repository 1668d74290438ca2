"""A client that fetches what it may have missed loses nothing that comes meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from autobatch_bench.checking.oracle import answer
from autobatch_proxy.queue.client import QueueClient, new_worker_id
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.in_flight import QueueCounts
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.keys import Keys
from autobatch_shared.measuring.count import Count
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.support.clerk import open_clerk


class Interrupted(WorkerQueue):
    """The queue, with something happening right after replies were looked for the first time."""

    then: Callable[[], Awaitable[None]] | None = None

    async def read_replies(self, jobs: Sequence[str]) -> list[bytes | None]:
        found = await super().read_replies(jobs)
        if jobs and self.then is not None:
            then, self.then = self.then, None
            await then()
        return found


async def test_a_reply_that_comes_while_missed_ones_are_fetched_is_not_thrown_away(redis_url: str) -> None:
    worker = new_worker_id()
    link, inbox_link = (
        RedisLink(Master.from_url(redis_url, Keys("house")), f"{worker}-{use}") for use in ("commands", "inbox")
    )
    queue = Interrupted(link, inbox_link, Keys("house"), worker)
    watcher = FleetWatcher(Control(link, Keys("house")), inputs_max=32, per_token=4)
    counts = QueueCounts(Count(), Count(), Count())
    client = QueueClient(queue, link, inbox_link, worker, 1000, watcher, counts)
    async with open_clerk(redis_url) as clerk:
        link.start()
        assert await link.wait_connected(60)
        asking = asyncio.create_task(client.ask(Plan([PlannedJob(1, "merge", b'["text"]')], "/embed"), timeout_s=10))
        (job,) = await clerk.claim(1)

        async def reply() -> None:
            await clerk.reply(job)

        queue.then = reply
        await client.open()  # asks for what it may have missed: nothing is there, and a moment later it is
        ((header, body),) = await asking
        await client.close()
        await watcher.close()
    assert (header.status, body) == (200, answer(["text"]))
    assert queue.then is None
