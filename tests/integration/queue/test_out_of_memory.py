"""A worker that cannot get the memory for a push."""

import logging
from collections.abc import Sequence

import pytest

from autobatch_proxy.queue.client import QueueClient, new_worker_id
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.in_flight import QueueCounts
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.errors import WorkerOutOfMemory
from autobatch_shared.contract.frames import Frames
from autobatch_shared.contract.keys import Keys
from autobatch_shared.measuring.count import Count
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.support.clerk import open_clerk

TIMEOUT_S = 3600.0


class Cramped(WorkerQueue):
    """The queue of a worker without memory for what it would send."""

    async def push(self, _requests: Sequence[tuple[bool, Frames]], _waiting_max: int) -> set[int]:
        raise MemoryError


async def test_the_requests_of_a_push_without_memory_fail_at_once_and_the_log_says_why(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = new_worker_id()
    link, inbox_link = (
        RedisLink(Master.from_url(redis_url, Keys("house")), f"{worker}-{use}") for use in ("commands", "inbox")
    )
    watcher = FleetWatcher(Control(link, Keys("house")), inputs_max=32, per_token=4)
    counts = QueueCounts(Count(), Count(), Count())
    client = QueueClient(
        Cramped(link, inbox_link, Keys("house"), worker), link, inbox_link, worker, 1000, watcher, counts
    )
    async with open_clerk(redis_url):
        await client.open()
        with caplog.at_level(logging.ERROR), pytest.raises(WorkerOutOfMemory):
            await client.ask(Plan([PlannedJob(1, "merge", b'["text"]')], "/embed"), TIMEOUT_S)
        assert client.inputs_in_flight == 0
        await client.close()
        await watcher.close()
    assert [(record.message, record.__dict__["requests_failed"]) for record in caplog.records] == [
        ("push_without_memory", 1)
    ]
