"""API keys in a file, a line each: read at the start and after each change, so that keys change without a restart."""

import logging
from collections.abc import Callable, Sequence

from autobatch_shared.periodic import Periodic
from autobatch_shared.settings.files.renewed_files import FileState, state_of
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import read_keys

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class KeyFile:
    """Watches a file of keys. A change that cannot be read leaves the keys as they were.

    Args:
        path: The path of the file.
        take: Is called with all keys of the file after each change.
    """

    def __init__(self, path: str, take: Callable[[Sequence[str]], None]) -> None:
        self._path = path
        self._take = take
        self._seen: FileState = None
        self._looking = Periodic("key-file", self._look)

    def open(self) -> None:
        """Begin to look."""
        self._looking.start()

    async def close(self) -> None:
        """Stop looking."""
        await self._looking.close()

    async def _look(self) -> float:
        seen = state_of(self._path)
        if seen != self._seen:
            self._seen = seen
            try:
                keys = read_keys(self._path)
            except SettingsError as error:
                log.error("api_keys_unreadable", extra={"error": str(error)})  # noqa: TRY400 - it says all
            else:
                self._take(keys)
                log.info("api_keys_read", extra={"keys": len(keys)})
        return LOOK_EVERY_S
