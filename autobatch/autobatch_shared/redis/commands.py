"""Redis commands and scripts, and what is made of their replies: values of the expected shape, or one error.

A script is a step that must be one step: a file in `scripts/`, whose head lists KEYS, ARGV and what it returns.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, Protocol, TypeVar

from autobatch_shared.contract.errors import QueueOutOfMemory, QueueReadOnly, QueueUnavailable

T = TypeVar("T")

SCRIPTS = "autobatch_shared.redis.scripts"
UNPACK_VALUES_MAX = 4000  # Lua's unpack() takes fewer than 8000

Command = tuple[str | bytes | int, ...]


class Commands(Protocol):
    """Executes Redis commands: a link, or fakeredis in tests."""

    def execute(self, *args: str | bytes | int) -> Awaitable[Any]:
        """Send one command; the awaitable gives its reply, RESP2 types."""
        ...

    def transaction(self, commands: Sequence[Command]) -> Awaitable[list[Any]]:
        """Send several commands as one; the awaitable gives their replies, errors as values."""
        ...


class ReplyError(QueueUnavailable):
    """Redis answered with an error."""


class OutOfMemoryError(ReplyError, QueueOutOfMemory):
    """Redis has reached its `maxmemory`, and applied nothing."""


class CannotSaveError(ReplyError, QueueReadOnly):
    """Redis refuses all writes, because it cannot save its data."""


class TryAgainSoon(ReplyError):
    """Redis applied nothing, and may take the same command in a moment."""


class NotTheMaster(ReplyError):
    """This server does not take the namespace's writes, or not now, and applied nothing; another one may."""


#: A replica; one without its master; another node's slot; a cluster without that slot's master; a server that reads its
#: data in; one that became a replica while a command blocked; a master cut off from the replicas that it must have.
ELSEWHERE = ("READONLY ", "MASTERDOWN ", "MOVED ", "CLUSTERDOWN ", "LOADING ", "UNBLOCKED ", "NOREPLICAS ")

#: The slot is on its way to another node of the cluster, and its keys are at both; Redis hangs up after another command.
IN_A_MOMENT = ("ASK ", "TRYAGAIN ", "ERR Protocol error")


def reply_error(message: object) -> ReplyError:
    """Return the error for an error of Redis."""
    text = str(message)
    if text.startswith(IN_A_MOMENT):
        return TryAgainSoon(text)
    if text.startswith(ELSEWHERE):
        return NotTheMaster(text)
    if text.startswith("MISCONF "):
        return CannotSaveError(text)
    return (OutOfMemoryError if text.startswith("OOM ") else ReplyError)(text)


def refusal_of(error: Exception) -> str:
    """Return the word by which Redis says why it refused, such as `MISCONF`; empty: it did not answer."""
    return str(error).partition(" ")[0] if isinstance(error, ReplyError) else ""


def in_own_words(error: QueueUnavailable) -> QueueUnavailable:
    """Return the same error as clients hear it: Redis's words are not for them."""
    return next((said() for said in (QueueOutOfMemory, QueueReadOnly) if isinstance(error, said)), QueueUnavailable())


def is_refusal(error: QueueUnavailable) -> bool:
    """Whether Redis itself refused, so that the same command would be refused again."""
    return isinstance(error, ReplyError) and not isinstance(error, NotTheMaster | TryAgainSoon)


async def in_one_step(link: Commands, *commands: Command) -> list[Any]:
    """Execute several commands as one and return their replies.

    Raises:
        ReplyError: One of them failed; the others were applied.
    """
    replies = await link.transaction(commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply_error(reply)
    return replies


async def in_one_message(link: Commands, *commands: Command) -> list[Any]:
    """Execute commands one after the other, in one round trip; return their replies.

    Raises:
        QueueUnavailable: One failed; the others were perhaps applied.
    """
    sent = [link.execute(*command) for command in commands]
    replies: list[Any] = []
    failed: QueueUnavailable | None = None
    try:
        for reply in sent:  # `asyncio.gather` would cost 8 us
            try:
                replies.append(await reply)
            except QueueUnavailable as error:
                failed = failed or error
    except asyncio.CancelledError:
        for reply in sent:
            if isinstance(reply, asyncio.Future):
                reply.cancel()  # else an error of it would be logged, as one that is waited for by none
        raise
    if failed is None:
        return replies
    try:
        raise failed
    finally:
        del failed, sent, reply  # they hold this frame now, and with it all values, until garbage is collected


class _ExpectedShape:
    """Turns what goes wrong while a reply is taken apart into `QueueUnavailable`: its sender is at fault."""

    def __enter__(self) -> None:
        """Begin to take a reply apart."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, (TypeError, ValueError, AttributeError, LookupError, OverflowError)):
            raise QueueUnavailable("Redis answered something else than was asked for") from error


expected_shape = _ExpectedShape()


def all_of(kind: type[T], values: Sequence[Any]) -> Sequence[T]:
    """Return the values, all of this kind; raise TypeError where one is not."""
    if not isinstance(values, list) or not {kind}.issuperset(map(type, values)):
        raise TypeError(kind.__name__)
    return values


class Script:
    """One `.lua` file, run by its hash; sent whole only when the server does not know it yet.

    Args:
        name: The file's name without its ending.
        keys: The script's KEYS.
        fixed: The ARGV that are the same in each run; those of a run follow them.
    """

    def __init__(self, name: str, keys: Sequence[str], fixed: Command = ()) -> None:
        source, sha = _source(name)
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

    async def run_behind(self, link: Commands, command: Command, *args: str | bytes | int) -> Any:
        """Send a command and the script in one message; the server runs the script when the command has ended.

        Raises:
            QueueUnavailable: Either of them failed; the other was perhaps applied.
        """
        try:
            _, reply = await in_one_message(link, command, (*self._by_hash, *args))
        except ReplyError as error:
            if not is_unknown_script(error):
                raise
        else:
            return reply
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


@cache
def _source(name: str) -> tuple[bytes, str]:
    """Return a script's text and its hash."""
    source = files(SCRIPTS).joinpath(f"{name}.lua").read_bytes()
    return source, sha1(source, usedforsecurity=False).hexdigest()


def is_unknown_script(error: Exception) -> bool:
    """Whether the server has to be sent the source."""
    return str(error).startswith("NOSCRIPT")
