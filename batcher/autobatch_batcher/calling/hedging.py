"""Make a call a second time, on another upstream, when it is later than any like it was: one of two hung in it. Within a budget."""

import asyncio
from collections.abc import Iterable

from autobatch_batcher.calling.budget import hedge_budget
from autobatch_batcher.calling.calls import Call
from autobatch_batcher.calling.lingering import CallStuck, LingeringCall
from autobatch_batcher.dialects.base import Answer
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot


class Hedging:
    """Makes calls where there is more than one upstream.

    Args:
        pool: The upstreams.
        metrics: Counts the second calls.
    """

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._budget = hedge_budget()

    async def call(self, call: Call, slot: Slot, timeout_s: float, late_s: float) -> Answer:
        """Return the first good answer, and let the slot be where it came from.

        Args:
            call: The call, none that an upstream may have died of.
            slot: The permission for it.
            timeout_s: Seconds that it may take in all.
            late_s: Seconds after which it is late.

        Raises:
            CallStuck: Neither of them has answered, and the other upstream answers others.
            UpstreamError: As `Replica.call` does, for the first of the calls.
        """
        self._budget.usual_calls += 1
        loop, upstream = asyncio.get_running_loop(), slot.upstream
        ends_s = loop.time() + timeout_s
        first = asyncio.create_task(upstream.call(call.post(upstream.dialect), timeout_s, call.asked), name="call")
        second: asyncio.Task[Answer] | None = None
        try:
            await asyncio.wait({first}, timeout=late_s)
            if first.done():
                return first.result()
            upstream.breaker.late(loop.time())
            other = await self._room_elsewhere(call, slot, first, late_s)
            if other is None:
                return await first
            second = asyncio.create_task(self._again(call, other, slot, ends_s - loop.time(), late_s), name="hedge")
            await _first_good((first, second))
            if _is_good(second) and not _is_good(first):
                slot.move_to(other)
                self._metrics.hedges.labels("used").inc()
                return second.result()
            self._metrics.hedges.labels("unused").inc()
            if _is_stuck(second) and not first.done():
                return second.result()
            return await first
        finally:
            await _end([task for task in (first, second) if task is not None])

    async def _room_elsewhere(
        self, call: Call, slot: Slot, first: asyncio.Task[Answer], look_every_s: float
    ) -> Replica | None:
        """Return an upstream that takes the call, too, as soon as there is one; None: the first has ended before."""
        while not first.done():
            other = self._pool.other_than(slot, call.inputs)
            if other.pacing is not None:  # a second call would be paid for, too
                return None
            if other is not slot.upstream and self._budget.take(1, asyncio.get_running_loop().time()):
                return other
            await asyncio.wait({first}, timeout=look_every_s)
        return None

    async def _again(self, call: Call, other: Replica, first: Slot, timeout_s: float, late_s: float) -> Answer:
        permission = Slot(other, call.inputs, call.inputs, was_busy=True)
        try:
            return await LingeringCall(call, permission, late_s, first).answer(timeout_s)
        finally:
            permission.release()


async def _first_good(tasks: Iterable[asyncio.Task[Answer]]) -> None:
    """Return once one has a good answer or is given up as stuck, or all have ended."""
    left = set(tasks)
    while left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        if any(map(_is_good, done)) or any(map(_is_stuck, done)):
            return


def _is_good(task: asyncio.Task[Answer]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None and task.result().status == 200


def _is_stuck(task: asyncio.Task[Answer]) -> bool:
    return task.done() and not task.cancelled() and isinstance(task.exception(), CallStuck)


async def _end(tasks: list[asyncio.Task[Answer]]) -> None:
    """Cancel what still runs, and wait until it has given back what it had."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
