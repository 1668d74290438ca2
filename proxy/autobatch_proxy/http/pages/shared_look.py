"""A look at the fleet that all who ask for a page share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedLook(Generic[T]):
    """Looks again when what was seen is too old, however many ask.

    Args:
        look: Looks at the fleet.
        every_s: Seconds for which what was seen is shown.
    """

    def __init__(self, look: Callable[[], Awaitable[T]], every_s: float) -> None:
        self._look = look
        self._every_s = every_s
        self._seen: T | None = None
        self._seen_s = 0.0
        self._looking = asyncio.Lock()

    async def seen(self) -> T:
        """Return what was seen last; what `look` raises is not kept."""
        time = asyncio.get_running_loop().time
        async with self._looking:
            if self._seen is None or time() - self._seen_s >= self._every_s:
                self._seen = await self._look()
                self._seen_s = time()
            return self._seen
