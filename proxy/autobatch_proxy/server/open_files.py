"""Find out that this worker is at its limit of open files, where new connections are lost without an error.

libuv, and so uvloop, keeps one descriptor in reserve: without another one it accepts each new connection with that, closes it, and calls
nobody. So it is asked for: whether one more file can be opened.
"""

import errno
import logging
import math
import os
import resource

from autobatch_shared.measuring.count import Count

log = logging.getLogger(__name__)

SAY_EVERY_S = 10.0
EXHAUSTED = {errno.EMFILE, errno.ENFILE}  # of this process, of the machine


class OpenFiles:
    """Looks once a second.

    Args:
        exhausted_s: Counts the looks at which no file could be opened.
    """

    def __init__(self, exhausted_s: Count) -> None:
        self._exhausted_s = exhausted_s
        self._said_s = -math.inf

    def look(self, now_s: float) -> None:
        """Count, and log now and then, that no file can be opened; `now_s` is on any clock that does not step."""
        if has_free_descriptor():
            return
        self._exhausted_s.total += 1
        if now_s - self._said_s >= SAY_EVERY_S:
            self._said_s = now_s
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            log.error("open_files_exhausted", extra={"limit": limit, "effect": "new connections are closed"})


def has_free_descriptor() -> bool:
    """Whether this process can open one more file or connection; 3 us."""
    try:
        os.close(os.open("/", os.O_RDONLY))
    except OSError as error:
        return error.errno not in EXHAUSTED
    return True
