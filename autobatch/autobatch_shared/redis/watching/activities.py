"""The activities of a namespace's processes: each publishes its own once a second; who wants to look reads them all.

A look costs Redis one read of each process's 2 to 5 kB, so callers share looks.
"""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec

from autobatch_shared.contract.keys import ACTIVITY_TTL_MS, Keys
from autobatch_shared.contract.model_names import announced
from autobatch_shared.contract.models import decode_model
from autobatch_shared.contract.status import FRESH_MS, decoded
from autobatch_shared.redis.clock import unix_ms
from autobatch_shared.redis.commands import Command, all_of, expected_shape, in_one_message
from autobatch_shared.redis.control import expired_jobs
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.watching.activity import Activity, decoded_activities
from autobatch_shared.watching.seen import SeenFleet, SeenModel

PROCESSES_MAX = 500  # whose activities are read at once: some 2 MB

_encode = msgspec.json.Encoder().encode


class Activities:
    """Those of one namespace.

    Args:
        link: Is opened and closed by its owner.
        namespace: The namespace.
    """

    def __init__(self, link: RedisLink, namespace: str) -> None:
        self._link = link
        self._namespace = namespace
        self._keys = Keys(namespace)

    async def publish(self, activity: Activity) -> None:
        """Publish what a process did, in one round trip; those that have said nothing for long are taken out of the list."""
        keys, old_ms = self._keys, activity.at - ACTIVITY_TTL_MS
        *_, old = await in_one_message(
            self._link,
            ("SET", keys.activity(activity.id), _encode(activity), "PX", ACTIVITY_TTL_MS),
            ("ZADD", keys.activities, activity.at, activity.id),
            ("PEXPIRE", keys.activities, ACTIVITY_TTL_MS),
            ("ZRANGEBYSCORE", keys.activities, "-inf", old_ms),
        )
        with expected_shape:
            if gone := all_of(bytes, old):
                await self._link.execute("ZREM", keys.activities, *gone)

    async def withdraw(self, process: str) -> None:
        """Take out a process that stops."""
        keys = self._keys
        await in_one_message(self._link, ("ZREM", keys.activities, process), ("UNLINK", keys.activity(process)))

    async def look(self) -> SeenFleet:
        """Return everything that is known of the fleet, in two round trips, and some more where jobs wait that no batcher takes.

        Raises:
            QueueUnavailable: Redis is unavailable.
        """
        keys = self._keys
        time, listed, said, *of_unnamed = await in_one_message(
            self._link,
            ("TIME",),
            ("ZRANGE", keys.activities, 0, PROCESSES_MAX - 1),
            ("HGETALL", keys.models),
            *_looks(keys),
        )
        now_ms = int(unix_ms(time))
        with expected_shape:
            processes = [each.decode() for each in all_of(bytes, listed)]
            names = sorted({each.name for each in announced(all_of(bytes, said[1::2]), now_ms)})
        activities, (unnamed, *named) = await asyncio.gather(
            self._activities(processes),
            asyncio.gather(self._model("", of_unnamed, now_ms), *[self._named_model(name, now_ms) for name in names]),
        )
        # The unnamed model is there where something serves it, or nothing else is.
        models = [unnamed, *named] if unnamed.reports or not named else named
        return SeenFleet(now_ms, models, activities)

    async def _activities(self, processes: list[str]) -> list[Activity]:
        if not processes:
            return []
        found = await self._link.execute("MGET", *[self._keys.activity(each) for each in processes])
        with expected_shape:
            return decoded_activities(all_of(bytes, [each for each in found if each is not None]))

    async def _named_model(self, name: str, now_ms: int) -> SeenModel:
        return await self._model(name, await in_one_message(self._link, *_looks(Keys(self._namespace, name))), now_ms)

    async def _model(self, name: str, replies: list[Any], now_ms: int) -> SeenModel:
        with expected_shape:
            reports, record, waiting, dead, *jobs = replies
            queued, queued_bulk = (max(0, int(each or 0)) for each in waiting)
            model = SeenModel(
                name, decode_model(record), decoded(all_of(bytes, reports[1::2])), queued, queued_bulk, int(dead)
            )
        if any(now_ms - report.at < FRESH_MS for report in model.reports):
            return model  # a batcher that works drops what has expired
        keys = Keys(self._namespace, name)
        expired = 0
        for queue, count, inputs in zip((keys.jobs, keys.bulk), jobs, (queued, queued_bulk), strict=True):
            if count:
                expired += round(inputs * await expired_jobs(self._link, queue, count, now_ms) / count)
        return replace(model, expired=expired)


def _looks(keys: Keys) -> list[Command]:
    """What is read of one model."""
    return [
        ("HGETALL", keys.batchers),
        ("GET", keys.model),
        ("MGET", keys.waiting, keys.waiting_bulk),
        ("LLEN", keys.dead),
        ("LLEN", keys.jobs),
        ("LLEN", keys.bulk),
    ]
