"""The gauges of workers that died without a word: their gunicorn takes them out, unless it died, too."""

import os
import re
from contextlib import suppress
from pathlib import Path

_of_one_process = re.compile(r"gauge_live[a-z]+_(\d+)\.db").fullmatch  # prometheus_client's names


def forget_dead_workers(folder: Path) -> None:
    """Remove what processes say of themselves that are no more; counters stay, for they are of all that ever were."""
    for file in folder.glob("gauge_live*.db"):
        found = _of_one_process(file.name)
        if found is not None and not _is_alive(int(found[1])):
            file.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):  # it is another user's, so it is
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
