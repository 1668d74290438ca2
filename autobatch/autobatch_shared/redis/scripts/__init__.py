"""The Lua scripts: each step that must be one step. The head of each file lists KEYS, ARGV and what it returns."""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from autobatch_shared.redis.commands import Command, Commands, ReplyError, reply_error


class Script:
    """One `.lua` file of this folder, run by its hash; sent whole only when the server does not know it yet."""

    def __init__(self, name: str) -> None:
        self._source = files(__package__).joinpath(f"{name}.lua").read_bytes()
        self._sha = sha1(self._source, usedforsecurity=False).hexdigest()

    async def run(self, link: Commands, keys: Sequence[str], args: Command) -> Any:
        """Execute the script. A server that was restarted or flushed learns it anew."""
        try:
            return await link.execute(*self._by_hash(keys, args))
        except ReplyError as error:
            if not is_unknown_script(error):
                raise
        return await link.execute("EVAL", self._source, len(keys), *keys, *args)

    async def run_after(self, link: Commands, commands: Sequence[Command], keys: Sequence[str], args: Command) -> Any:
        """Execute commands and then the script, as one step; the commands must bear to be repeated.

        Raises:
            QueueUnavailable: Any of them failed; then perhaps some of them were applied.
        """
        replies = await link.transaction([*commands, self._by_hash(keys, args)])
        for reply in replies[:-1]:
            if isinstance(reply, Exception):
                raise reply_error(reply)
        if not isinstance(replies[-1], Exception):
            return replies[-1]
        if not is_unknown_script(replies[-1]):
            raise reply_error(replies[-1])
        return await link.execute("EVAL", self._source, len(keys), *keys, *args)

    def _by_hash(self, keys: Sequence[str], args: Command) -> Command:
        return ("EVALSHA", self._sha, len(keys), *keys, *args)


def is_unknown_script(error: Exception) -> bool:
    """Whether the server has to be sent the source."""
    return str(error).startswith("NOSCRIPT")
