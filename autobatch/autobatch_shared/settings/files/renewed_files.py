"""Files that are replaced while a process runs. Those of TLS, such as a renewed certificate, count from the next connection on."""

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

FileState = tuple[int, int, int] | None


class TlsFiles:
    """Makes the TLS context of new connections, anew where a file of it has changed; connections that exist keep theirs.

    Args:
        make: Reads the files, and returns a context; raises SettingsError where one cannot be used.
        paths: Of the files; this machine's own authorities are looked at besides.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext], paths: Iterable[str]) -> None:
        own = ssl.get_default_verify_paths()
        self._make = make
        self._paths = [*paths, *filter(None, (own.cafile, own.capath))]
        self._seen: list[FileState] = []
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for a connection that is made now.

        Raises:
            SettingsError: A file cannot be used, or is not whole yet; the next connection reads it again.
        """
        seen = [state_of(path) for path in self._paths]  # before they are read: what changes meanwhile is read again
        if self._context is None or seen != self._seen:
            self._context = self._make()
            self._seen = seen
        return self._context


def state_of(path: str) -> FileState:
    """Return what changes with a file, also where another one replaces it; None: there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
