"""The Lua scripts: each step that must be one step. The head of each file lists KEYS, ARGV and what it returns."""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from autobatch_shared.redis.commands import Command, Commands, ReplyError, reply_error

UNPACK_VALUES_MAX = 4000  # Lua's unpack() takes fewer than 8000


class Script:
    """One `.lua` file of this folder, run by its hash; sent whole only when the server does not know it yet.

    Args:
        name: Of the file, without its ending.
        keys: Its KEYS.
        fixed: The ARGV that are the same in each run; those of a run follow them.
    """

    def __init__(self, name: str, keys: Sequence[str], fixed: Command = ()) -> None:
        source = files(__package__).joinpath(f"{name}.lua").read_bytes()
        sha = sha1(source, usedforsecurity=False).hexdigest()
        begin = (len(keys), *keys, *fixed)
        self._by_hash: Command = ("EVALSHA", sha, *begin)
        self._whole: Command = ("EVAL", source, *begin)

    async def run(self, link: Commands, *args: str | bytes | int) -> Any:
        """Execute the script. A server that was restarted or flushed learns it anew."""
        try:
            return await link.execute(*self._by_hash, *args)
        except ReplyError as error:
            if not is_unknown_script(error):
                raise
        return await link.execute(*self._whole, *args)

    async def run_after(self, link: Commands, commands: Sequence[Command], *args: str | bytes | int) -> Any:
        """Execute commands and then the script, as one step; the commands must bear to be repeated.

        Raises:
            QueueUnavailable: Any of them failed; then perhaps some of them were applied.
        """
        replies = await link.transaction([*commands, (*self._by_hash, *args)])
        for reply in replies[:-1]:
            if isinstance(reply, Exception):
                raise reply_error(reply)
        if not isinstance(replies[-1], Exception):
            return replies[-1]
        if not is_unknown_script(replies[-1]):
            raise reply_error(replies[-1])
        return await link.execute(*self._whole, *args)


def is_unknown_script(error: Exception) -> bool:
    """Whether the server has to be sent the source."""
    return str(error).startswith("NOSCRIPT")
