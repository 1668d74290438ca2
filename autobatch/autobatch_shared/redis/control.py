"""What is not per request: the reports of the batchers. Over the same connection as the jobs, so that it says whether they pass."""

import asyncio
from typing import Any

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import REPORTS_TTL_MS, Keys
from autobatch_shared.contract.models import decode_model
from autobatch_shared.contract.status import BatcherStatus, Fleet, encode
from autobatch_shared.redis.commands import Command, all_of, expected_shape
from autobatch_shared.redis.link import RedisLink

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

    async def report(self, batcher: str, status: BatcherStatus) -> None:
        """Publish what a batcher is doing."""
        await self._execute(
            ("HSET", self._reports, batcher, encode(status)), ("PEXPIRE", self._reports, REPORTS_TTL_MS)
        )

    async def sign_off(self, batcher: str) -> None:
        """Take a batcher that stops out of the reports."""
        await self._execute(("HDEL", self._reports, batcher))

    async def fleet(self) -> Fleet:
        """Return the batchers that reported lately, and the namespace's model."""
        commands = ("TIME",), ("HGETALL", self._reports), ("GET", self._model)
        now, reports, model = await self._execute(*commands)
        with expected_shape:
            seconds, micros = now
            return Fleet(all_of(bytes, reports[1::2]), int(seconds) * 1000 + int(micros) // 1000, decode_model(model))

    async def _execute(self, *commands: Command) -> list[Any]:
        """Return the replies; wait out a connection that breaks."""
        try:
            return await self._once(commands)
        except QueueUnavailable:
            if not await self._link.wait_connected(OUTAGE_MAX_S):
                raise
        return await self._once(commands)

    async def _once(self, commands: tuple[Command, ...]) -> list[Any]:
        return await asyncio.gather(*[self._link.execute(*command) for command in commands])
