"""A worker that is told to stop as soon as it is there stops: its master would wait for it as long as a request may take."""

import os
import signal
from collections.abc import Callable

from tests.support.processes import Process
from tests.support.waiting import wait_until

WORKERS = 4


async def test_a_worker_that_is_told_to_stop_before_it_serves_stops(start: Callable[[int], Process]) -> None:
    proxy = start(WORKERS)
    told: set[int] = set()
    while len(told) < WORKERS:
        for pid in set(proxy.children()) - told:
            os.kill(pid, signal.SIGTERM)
            told.add(pid)

    await wait_until(lambda: not told & set(proxy.children()))
