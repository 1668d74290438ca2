"""What is not per request: the reports of the batchers, and what waits. Over the same connection as the jobs, so that it says whether they pass."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from autobatch_shared.contract.errors import MalformedFrame, QueueUnavailable
from autobatch_shared.contract.frames import decode_job
from autobatch_shared.contract.keys import ANNOUNCED_TTL_MS, EPOCH_TTL_MS, LEARNT_TTL_MS, REPORTS_TTL_MS, Keys
from autobatch_shared.contract.model_names import Announcement, announced
from autobatch_shared.contract.models import decode_model
from autobatch_shared.contract.status import (
    BatcherStatus,
    Fleet,
    RememberedCalls,
    decode_remembered,
    decoded,
    encode,
    to_remember,
)
from autobatch_shared.redis.clock import unix_ms
from autobatch_shared.redis.commands import (
    Command,
    Commands,
    ReplyError,
    Script,
    all_of,
    expected_shape,
    in_one_message,
    refusal_of,
)
from autobatch_shared.redis.link import RedisLink

log = logging.getLogger(__name__)

T = TypeVar("T")

SAMPLED = 4  # of the oldest jobs: their mean size stands for that of all
LOOKED_AT = 16  # jobs of a queue, evenly from the oldest to the newest: whether their deadlines have passed stands for the others
WRONG_TYPE = "WRONGTYPE"  # what Redis says of a value that is no string; MGET says that there is none
OUTAGE_MAX_S = 2.0  # a connection that is back within it is no bad health


class QueueDepth(NamedTuple):
    """What waits in one queue.

    Attributes:
        jobs: How many.
        weight: Inputs that they count as.
        size_bytes: Of their frames, about.
        expired: How many of them have a deadline that has passed, about.
        oldest_age_s: Seconds for which the oldest one has waited; None: there is none, or it cannot be read.
    """

    jobs: int
    weight: int
    size_bytes: int
    expired: int
    oldest_age_s: float | None


class Depths(NamedTuple):
    """What waits for one model's batchers, and what they have given up.

    Attributes:
        usual: The queue.
        bulk: That of bulk jobs.
        dead: Number of jobs in the dead list.
        redis_s: Redis's clock, unix seconds.
    """

    usual: QueueDepth
    bulk: QueueDepth
    dead: int
    redis_s: float


class Control:
    """The reports of one model's batchers. Each command may be repeated, and is once if the connection broke.

    Args:
        link: Is opened and closed by its owner.
        keys: The names of the model's keys. Those of the unnamed model: the announcements of the others are read, too.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._reports = keys.batchers
        self._learnt_prefix = learnt = keys.learnt("")
        self._jobs, self._bulk = keys.jobs, keys.bulk
        self._looks: list[Command] = [("TIME",), ("HGETALL", keys.batchers), ("GET", keys.model)]
        self._looks += [("PEXPIRE", keys.epoch, EPOCH_TTL_MS)]
        if keys.is_unnamed:
            self._looks += [("HGETALL", keys.models)]
        self._depths: list[Command] = [("TIME",), ("LLEN", keys.dead)]
        for queue, weight in ((keys.jobs, keys.waiting), (keys.bulk, keys.waiting_bulk)):
            self._depths += [("LLEN", queue), ("GET", weight), ("LRANGE", queue, 0, SAMPLED - 1)]
        self._cached: list[Command] = [("ZCARD", keys.cache_index), ("GET", keys.cache_bytes)]
        self._report = Script(
            "report", (keys.batchers, keys.models, learnt), (REPORTS_TTL_MS, ANNOUNCED_TTL_MS, LEARNT_TTL_MS)
        )

    async def report(
        self, batcher: str, status: BatcherStatus, announcement: Announcement | None = None
    ) -> list[BatcherStatus]:
        """Publish what a batcher is doing, and the model that it serves where that has a name; keep what it has learnt.

        Returns:
            The reports of all batchers, old ones too.
        """
        report, said = encode(status), b"" if announcement is None else encode(announcement)
        learnt = [part for url, each in to_remember(status).items() for part in (url, encode(each))]
        reports = await self._wait_out(lambda: self._report.run(self._link, batcher, status.at, report, said, *learnt))
        with expected_shape:
            return decoded(all_of(bytes, reports[1::2]))

    async def remembered(self, upstreams: Sequence[str]) -> dict[str, RememberedCalls]:
        """Return by URL what the batchers on duty for these upstreams had learnt last, where that can be read."""
        found = {}
        for url in upstreams:
            try:
                value = await self._wait_out(partial(self._link.execute, "GET", self._learnt_prefix + url))
            except ReplyError as refused:
                if refusal_of(refused) != WRONG_TYPE:
                    raise
                value = b""
            remembered = decode_remembered(value or b"")
            if remembered is not None:
                found[url] = remembered
            elif value is not None:
                log.warning("learnt_unreadable", extra={"upstream": url})
        return found

    async def sign_off(self, batcher: str) -> None:
        """Take a batcher that stops out of the reports."""
        await self._wait_out(lambda: self._link.execute("HDEL", self._reports, batcher))

    async def fleet(self) -> Fleet:
        """Return the batchers that reported lately, and the namespace's model.

        Raises:
            QueueUnavailable: Redis is unavailable, or takes no writes: then no report can have come, though batchers run.
        """
        time, reports, model, _, *others = await self._wait_out(self._look)
        now_ms = int(unix_ms(time))
        with expected_shape:
            said = [value for values in others for value in all_of(bytes, values[1::2])]
            return Fleet(all_of(bytes, reports[1::2]), now_ms, decode_model(model), announced(said, now_ms))

    async def depths(self) -> Depths:
        """Return what waits now. Not repeated: who asks wants to know how Redis is."""
        time, dead, *queues = await in_one_message(self._link, *self._depths)
        now_ms = int(unix_ms(time))
        with expected_shape:
            usual, bulk = (_depth(*queues[first : first + 3], now_ms=now_ms) for first in (0, 3))
        usual, bulk = await asyncio.gather(
            self._with_expired(usual, self._jobs, now_ms), self._with_expired(bulk, self._bulk, now_ms)
        )
        with expected_shape:
            return Depths(usual, bulk, int(dead), now_ms / 1000)

    async def _with_expired(self, depth: QueueDepth, queue: str, now_ms: int) -> QueueDepth:
        """Look further where the deadline of the oldest job has passed."""
        return (
            depth._replace(expired=await expired_jobs(self._link, queue, depth.jobs, now_ms))
            if depth.expired
            else depth
        )

    async def cached(self) -> tuple[int, int]:
        """Return how many rows the result cache has, and their bytes."""
        rows, size_bytes = await in_one_message(self._link, *self._cached)
        with expected_shape:
            return int(rows), int(size_bytes or 0)

    async def _look(self) -> list[Any]:
        return await asyncio.gather(*[self._link.execute(*command) for command in self._looks])

    async def _wait_out(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send, and once more after a connection that breaks."""
        try:
            return await send()
        except QueueUnavailable:
            if not await self._link.wait_connected(OUTAGE_MAX_S):
                raise
        return await send()


async def expired_jobs(link: Commands, queue: str, jobs: int, now_ms: int) -> int:
    """Return how many of the jobs that a queue had are past their deadline: exactly if all are, or none, or they are few; else about."""
    places = sorted({step * (jobs - 1) // (LOOKED_AT - 1) for step in range(LOOKED_AT)}) if jobs else []
    found = await in_one_message(link, *[("LRANGE", queue, place, place) for place in places])
    with expected_shape:
        frames = [frame for found_there in found for frame in all_of(bytes, found_there)]
        return round(jobs * sum(_is_expired(frame, now_ms) for frame in frames) / len(frames)) if frames else 0


def _is_expired(frame: bytes, now_ms: int) -> bool:
    with suppress(MalformedFrame):
        return decode_job(frame)[0].deadline < now_ms
    return False


def _depth(jobs: int, weight: bytes | None, oldest: Sequence[bytes], *, now_ms: int) -> QueueDepth:
    sizes = [len(frame) for frame in all_of(bytes, oldest)]
    age_s, expired = None, 0
    if oldest:
        with suppress(MalformedFrame):
            header, _ = decode_job(oldest[0])
            age_s, expired = max(now_ms - header.at, 0) / 1000, int(header.deadline < now_ms)
    return QueueDepth(int(jobs), int(weight or 0), jobs * sum(sizes) // max(len(sizes), 1), expired, age_s)
