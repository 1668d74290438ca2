"""Which files of ours a request enters: every file with a function that is called meanwhile."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.support.paths import ROOT

PRODUCT = tuple(str(ROOT / folder) + "/" for folder in ("autobatch", "proxy", "batcher"))


@contextmanager
def files_entered() -> Iterator[set[Path]]:
    """Collect the files, relative to the repository, of the data plane's functions that are called in this thread."""
    found: set[Path] = set()

    def note(frame: FrameType, event: str, _arg: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(PRODUCT):
            found.add(Path(file).relative_to(ROOT))

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
