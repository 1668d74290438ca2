"""The worker's end of the queue: it pushes jobs, reads its inbox and fetches replies.

Frames pass through unread. Each operation is one round trip; those that must not be half done are scripts. A reply of
another shape than the expected one is `QueueUnavailable`, as silence is.
"""

from collections.abc import Sequence
from typing import Any

from autobatch_shared.contract.frames import VERSION, Frames
from autobatch_shared.contract.keys import BYTES_PER_INPUT, EPOCH_TTL_MS, GONE_TTL_MS, WAITING_TTL_MS, Keys
from autobatch_shared.contract.status import Ahead
from autobatch_shared.redis.clock import read_clock
from autobatch_shared.redis.commands import (
    UNPACK_VALUES_MAX,
    Command,
    Commands,
    Script,
    all_of,
    expected_shape,
    in_one_message,
    in_one_step,
)

INBOX_IDS_MAX = 1024  # ids taken in one read; more only make one MGET longer
SCANNED_AT_ONCE = 256  # frames of a queue that `missing.lua` has in memory at a time


class WorkerQueue:
    """The worker's end of the queue.

    Args:
        link: The connection for commands that return at once.
        inbox_link: The connection for the one blocking read.
        keys: The names of the namespace's keys.
        worker: This worker's id, letters and digits only.

    Attributes:
        ahead: What waited or was claimed after the last push.
        pushed_ms: Redis's clock at the last push, unix milliseconds.
        pushed_epoch: The mark of Redis's data at the last push.
    """

    def __init__(self, link: Commands, inbox_link: Commands, keys: Keys, worker: str) -> None:
        self.ahead = Ahead()
        self.pushed_ms = 0
        self.pushed_epoch = b""
        self._link = link
        self._inbox_link = inbox_link
        self._inbox = keys.inbox(worker)
        self._reply_prefix = keys.reply("")
        self._received: list[str] = []
        self._gone = keys.gone
        self._epoch = keys.epoch
        self._push = Script(
            "push",
            (
                keys.jobs,
                keys.waiting,
                keys.bulk,
                keys.waiting_bulk,
                keys.leases,
                keys.claimed(""),
                keys.bell,
                keys.epoch,
            ),
            (BYTES_PER_INPUT, WAITING_TTL_MS, UNPACK_VALUES_MAX, EPOCH_TTL_MS, worker),
        )
        self._missing = Script(
            "missing",
            (
                keys.jobs,
                keys.bulk,
                keys.retry,
                keys.suspects,
                keys.of_version(VERSION),
                keys.leases,
                keys.claimed(""),
                keys.reply(""),
            ),
            (SCANNED_AT_ONCE,),
        )

    async def push(self, requests: Sequence[tuple[bool, Frames]], waiting_max: int) -> set[int]:
        """Append the frames of several requests, each wholly or not at all.

        Args:
            requests: For each request, whether it is bulk, and its frames.
            waiting_max: The most inputs that may wait in one queue.

        Returns:
            The indices of the requests that were refused because more would wait.
        """
        args: list[str | bytes | int] = [waiting_max]
        for is_bulk, frames in requests:
            args += (int(is_bulk), len(frames), *frames)
        if (deletion := self._deletion()) is None:
            reply = await self._push.run(self._link, *args)
        else:
            reply = await self._push.run_behind(self._link, deletion, *args)
        with expected_shape:
            epoch = reply.pop(1)
            pushed_ms, usual, bulk, claimed, *refused = all_of(int, reply)
            all_of(bytes, [epoch])
            if refused and not 1 <= min(refused) <= max(refused) <= len(requests):
                raise ValueError(refused)
        self.ahead = Ahead(usual, bulk, claimed)
        self.pushed_ms, self.pushed_epoch = pushed_ms, epoch
        return {place - 1 for place in refused}

    async def pop_inbox(self, block_s: float) -> list[str]:
        """Take the ids whose replies are ready; wait up to `block_s` seconds for the first."""
        return _ids(await self._inbox_link.execute(*self._popping(block_s)))

    async def pop_and_read(self, block_s: float, awaited: Sequence[str]) -> tuple[list[str], dict[str, bytes]]:
        """Take ids as `pop_inbox` does; return them, and the frames of those that were awaited, in the same round trip.

        Args:
            block_s: Seconds to wait for the first id.
            awaited: A few jobs, of which most ids will be; those without a reply are asked for in vain.
        """
        popped, frames = await in_one_message(self._inbox_link, self._popping(block_s), self._reading(awaited))
        jobs = _ids(popped)
        ready = set(jobs)  # of another one that has a reply by now, the id is on its way
        found = zip(awaited, _frames(frames, awaited), strict=True)
        return jobs, {job: frame for job, frame in found if frame is not None and job in ready}

    def _popping(self, block_s: float) -> Command:
        return "BLMPOP", str(block_s), 1, self._inbox, "LEFT", "COUNT", INBOX_IDS_MAX

    async def read_replies(self, jobs: Sequence[str]) -> list[bytes | None]:
        """Return the reply frames; None for a job that has none."""
        reading = self._reading(jobs)
        if (deletion := self._deletion()) is None:
            return _frames(await self._link.execute(*reading), jobs)
        _, frames = await in_one_message(self._link, deletion, reading)
        return _frames(frames, jobs)

    def _reading(self, jobs: Sequence[str]) -> Command:
        prefix = self._reply_prefix
        return "MGET", *[prefix + job for job in jobs]

    def note_received(self, jobs: Sequence[str]) -> None:
        """Take note of replies that were received: the next message deletes them, which wakes neither Redis nor us.

        Not before they were received, or a broken connection would lose them. Where the deletion fails they end with their
        TTL.
        """
        prefix = self._reply_prefix
        self._received += [prefix + job for job in jobs]

    async def delete_received(self) -> None:
        """Delete what was received now, as no other message follows soon."""
        if (deletion := self._deletion()) is not None:
            await self._link.execute(*deletion)

    def _deletion(self) -> Command | None:
        """Return the command that deletes what was received, and count it as sent."""
        if not self._received:
            return None
        received, self._received = self._received, []
        return ("UNLINK", *received)

    async def forget(self, jobs: Sequence[str], ttl_ms: int) -> None:
        """Mark jobs whose client disconnected, so that no batcher claims them, for `ttl_ms`: until their deadline."""
        gone = self._gone
        marks: list[Command] = [("SET", f"{gone}:{job}", "", "PX", max(1, ttl_ms)) for job in jobs]
        await in_one_step(self._link, ("SET", gone, "", "PX", GONE_TTL_MS), *marks)

    async def epoch(self) -> bytes:
        """Return the mark of this Redis's data; another one than before means that jobs and replies were lost."""
        # Read first: a Redis that is out of memory still reads, and replies can still be had from it.
        mark = await self._link.execute("GET", self._epoch)
        if mark is None:
            await self.push([], 0)
            mark = self.pushed_epoch
        with expected_shape:
            all_of(bytes, [mark])
        return bytes(mark)

    async def missing(self, jobs: Sequence[str]) -> list[str]:
        """Return those of the jobs, INBOX_IDS_MAX at most, that neither wait nor are claimed nor have a reply."""
        found = await self._missing.run(self._link, *jobs)
        with expected_shape:
            return [job.decode() for job in all_of(bytes, found)]

    async def redis_ms(self) -> float:
        """Redis's clock, unix milliseconds."""
        return await read_clock(self._link)


def _ids(popped: Any) -> list[str]:
    """Return the ids that were taken from the inbox."""
    with expected_shape:
        return [job.decode() for job in popped[1]] if popped is not None else []


def _frames(read: Any, jobs: Sequence[str]) -> list[bytes | None]:
    """Return the frames that were read, one for each of the jobs."""
    with expected_shape:
        if len(read) != len(jobs):
            raise ValueError(len(read))
        all_of(bytes, [frame for frame in read if frame is not None])
    return list(read)
