"""What executes Redis commands, and what is made of its replies: values of the expected shape, or one error."""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar

from autobatch_shared.contract.errors import QueueOutOfMemory, QueueUnavailable

T = TypeVar("T")

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


def reply_error(message: object) -> ReplyError:
    """Return the error for an error of Redis."""
    # A transaction is only discarded whole when a command was refused beforehand, and ours are refused for nothing else.
    text = str(message)
    return (OutOfMemoryError if text.startswith(("OOM ", "EXECABORT ")) else ReplyError)(text)


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
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        raise TypeError(kind.__name__)
    return values
