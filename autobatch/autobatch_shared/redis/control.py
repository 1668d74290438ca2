"""What is not per request: the reports of the batchers. Over the same connection as the jobs, so that it says whether they pass."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import EPOCH_TTL_MS, REPORTS_TTL_MS, Keys
from autobatch_shared.contract.models import decode_model
from autobatch_shared.contract.status import BatcherStatus, Fleet, decoded, encode
from autobatch_shared.redis.commands import Script, all_of, expected_shape
from autobatch_shared.redis.link import RedisLink

T = TypeVar("T")

OUTAGE_MAX_S = 2.0  # a connection that is back within it is no bad health


class Control:
    """The reports of one namespace. Each command may be repeated, and is once if the connection broke.

    Args:
        link: Is opened and closed by its owner.
        keys: The names of the namespace's keys.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._reports = keys.batchers
        self._model = keys.model
        self._writing = "PEXPIRE", keys.epoch, EPOCH_TTL_MS
        self._report = Script("report", (keys.batchers,), (REPORTS_TTL_MS,))

    async def report(self, batcher: str, status: BatcherStatus) -> list[BatcherStatus]:
        """Publish what a batcher is doing; return the reports of all batchers, old ones too."""
        report = encode(status)
        reports = await self._wait_out(lambda: self._report.run(self._link, batcher, report))
        with expected_shape:
            return decoded(all_of(bytes, reports[1::2]))

    async def sign_off(self, batcher: str) -> None:
        """Take a batcher that stops out of the reports."""
        await self._wait_out(lambda: self._link.execute("HDEL", self._reports, batcher))

    async def fleet(self) -> Fleet:
        """Return the batchers that reported lately, and the namespace's model.

        Raises:
            QueueUnavailable: Redis is unavailable, or takes no writes: then no report can have come, though batchers run.
        """
        now, reports, model, _ = await self._wait_out(self._look)
        with expected_shape:
            seconds, micros = now
            return Fleet(all_of(bytes, reports[1::2]), int(seconds) * 1000 + int(micros) // 1000, decode_model(model))

    async def _look(self) -> list[Any]:
        commands = ("TIME",), ("HGETALL", self._reports), ("GET", self._model), self._writing
        return await asyncio.gather(*[self._link.execute(*command) for command in commands])

    async def _wait_out(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send, and once more after a connection that breaks."""
        try:
            return await send()
        except QueueUnavailable:
            if not await self._link.wait_connected(OUTAGE_MAX_S):
                raise
        return await send()
