"""Logging of every process: events with fields, one line each, to stderr. Never a text of a user, never a key.

log = logging.getLogger(__name__)
log.warning("upstream_retry", extra={"attempt": 2, "batch_jobs": 31})
"""

import logging
import os
import sys

from autobatch_shared.log_lines import JsonLines, TextLines
from autobatch_shared.settings.definitions import CommonSettings


class NoClientBytes(logging.Filter):
    """Keeps malformed HTTP out of the log: aiohttp would quote the client's bytes, keys included, at every one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record may be logged."""
        error = record.exc_info[1] if record.exc_info else None
        return not type(error).__module__.startswith("aiohttp.http_exceptions")


def configure(settings: CommonSettings, process: str) -> None:
    """Send all logging of this process to stderr in the configured format."""
    formatter: logging.Formatter = (
        JsonLines(process)
        if settings.log_format == "json"
        else TextLines(process, is_coloured=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(NoClientBytes())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
