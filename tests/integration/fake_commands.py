"""fakeredis behind our `Commands`: shows that the queue operations do not depend on one server's behaviour."""

from collections.abc import Sequence
from typing import Any

from fakeredis import FakeAsyncRedis
from redis.exceptions import ResponseError

from autobatch_shared.redis.commands import Command, ReplyError


class FakeCommands:
    """Executes commands in this process."""

    def __init__(self, redis: FakeAsyncRedis) -> None:
        self._redis = redis

    async def execute(self, *args: str | bytes | int) -> Any:
        """Run one command."""
        try:
            reply = await self._redis.execute_command(*args)  # type: ignore[no-untyped-call]
        except ResponseError as exc:
            # redis-py removes the code from the message.
            code = "NOSCRIPT " if type(exc).__name__ == "NoScriptError" else ""
            raise ReplyError(code + str(exc)) from exc
        return [part for pair in reply.items() for part in pair] if isinstance(reply, dict) else reply

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Run several commands as one."""
        async with self._redis.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        return [
            ReplyError(f"NOSCRIPT {reply}") if type(reply).__name__ == "NoScriptError" else reply for reply in replies
        ]
