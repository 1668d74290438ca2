"""The queue without Redis: what the batchers of a simulation have in place of their end of it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil

from autobatch_batcher.simulating.workers import CLAIM_S, REPLY_S, WAKE_S
from autobatch_shared.bell import Bell, pause
from autobatch_shared.contract.capacity import MinuteBudget
from autobatch_shared.contract.frames import Frames
from autobatch_shared.redis.batcher_queue import NO_SHARE, BatcherQueue, Claim, Renewal
from autobatch_shared.redis.link import RedisLink


class SimulatedQueue:
    """The jobs that wait, and who is told of them.

    Args:
        answered: Is told the id of each job that got its reply, and whether that is good.
    """

    def __init__(self, answered: Callable[[str, bool], None]) -> None:
        self.jobs: deque[tuple[int, bytes]] = deque()  # inputs, frame
        self.bulk: deque[tuple[int, bytes]] = deque()
        self.batchers = 0
        self.answered = answered
        self._is_rung = False
        self._watchers: deque[Bell] = deque()

    def push(self, inputs: int, frame: bytes, *, is_bulk: bool) -> None:
        """Append a job, and wake a batcher if none waited."""
        was_empty = not self.jobs and not self.bulk
        (self.bulk if is_bulk else self.jobs).append((inputs, frame))
        if was_empty:
            self.ring()

    def ring(self) -> None:
        """Wake one of the batchers that watch, or the next that does."""
        if self._watchers:
            self._watchers.popleft().ring()
        else:
            self._is_rung = True

    def note_left(self) -> None:
        """After a claim: where jobs are left another batcher is woken."""
        if not self.jobs and not self.bulk:
            self._is_rung = False
        elif not self._is_rung:
            self.ring()

    async def watch(self, block_s: float) -> bool:
        """Wait for a ring, up to `block_s` seconds."""
        if self._is_rung:
            self._is_rung = False
            return True
        bell = Bell()
        self._watchers.append(bell)
        is_rung = await bell.wait(block_s)
        if not is_rung:
            self._watchers.remove(bell)
        return is_rung


class SimulatedQueueEnd(BatcherQueue):
    """A batcher's end: it does what the scripts do, as far as nothing fails.

    Args:
        queue: The queue of all batchers.
    """

    def __init__(self, queue: SimulatedQueue) -> None:
        self._queue = queue
        queue.batchers += 1

    async def watch(self, block_s: float) -> bool:
        """Wait until jobs come."""
        is_rung = await self._queue.watch(block_s)
        if is_rung:
            await pause(WAKE_S)
        return is_rung

    async def ring(self) -> None:
        """Wake another batcher."""
        self._queue.ring()

    async def claim(
        self,
        inputs: int,
        suspects: int,  # noqa: ARG002 - there are none
        bulk: int = 0,
        fill: int = 0,
        at_once: int = NO_SHARE,
        budget: MinuteBudget | None = None,  # noqa: ARG002 - nothing is billed
    ) -> Claim:
        """Take the oldest jobs, as `claim.lua`: half of the time is the command's way, the other half that of its answer."""
        await pause(CLAIM_S / 2)
        claim = self._taken(inputs, bulk, fill, at_once)
        await pause(CLAIM_S / 2)
        return claim

    async def watch_and_claim(self, block_s: float, inputs: int, suspects: int, fill: int, at_once: int) -> Claim:  # noqa: ARG002 - there are none
        """Wait until jobs come, and take them in that moment."""
        await self._queue.watch(block_s)
        claim = self._taken(inputs, 0, fill, at_once)
        await pause(WAKE_S)
        return claim

    def _taken(self, inputs: int, bulk: int, fill: int, at_once: int) -> Claim:
        queue = self._queue
        share = max(ceil(len(queue.jobs) / queue.batchers), at_once)
        got, fresh = _drain(queue.jobs, min(inputs, share))
        _, bulk_frames = _drain(queue.bulk, max(bulk, fill - got))
        queue.note_left()
        return Claim(
            redis_ms=_redis_ms(),
            queued=len(queue.jobs),
            queued_bulk=len(queue.bulk),
            dropped=0,
            malformed=0,
            foreign=0,
            batchers=queue.batchers,
            suspects_left=0,
            suspects=(),
            fresh=fresh,
            bulk=bulk_frames,
        )

    async def reply(
        self,
        replies: Sequence[tuple[str, bytes]],
        failures: Sequence[tuple[str, bytes]] = (),
        dropped: Sequence[str] = (),  # noqa: ARG002 - no client disconnects
    ) -> int:
        """Deliver replies."""
        await pause(REPLY_S)
        for is_good, told in ((True, replies), (False, failures)):
            for job, _ in told:
                self._queue.answered(job, is_good)
        return 0

    async def claimed(self) -> dict[str, bytes]:
        """Return nothing: no answer is lost here."""
        return {}

    async def renew(self) -> Renewal:
        """Prolong the lease, which is never lost here."""
        return Renewal(was_held=True, redis_ms=_redis_ms(), epoch=b"simulated")

    async def sign_off(self) -> None:
        """End the lease. What was claimed under it and not answered is lost here: nothing may be."""
        self._queue.batchers -= 1

    async def reap(self, step_ms: int = 0) -> tuple[int, Frames]:  # noqa: ARG002 - no clock steps
        """Return that no batcher died."""
        return 0, ()


class SimulatedLink(RedisLink):
    """A connection that never breaks."""

    def __init__(self) -> None:
        self.connections = 0

    async def wait_connected(self, timeout_s: float) -> bool:  # noqa: ARG002 - it is
        """Return True."""
        return True


def _drain(jobs: deque[tuple[int, bytes]], wanted: int) -> tuple[int, list[bytes]]:
    """Take jobs until so many inputs are there; the last may exceed that."""
    got, frames = 0, []
    while got < wanted and jobs:
        inputs, frame = jobs.popleft()
        got += inputs
        frames.append(frame)
    return got, frames


def _redis_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
