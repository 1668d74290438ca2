"""A process says how much memory it uses: what its allocators have given out and not got back.

What a process has from the system says less. Python returns an arena of 1 MiB only when nothing in it is used: a worker that
had 1,300 requests at a time keeps 24 MB that it does not use, for as long as it lives, and fills them again the next time.
"""

import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType

ASK = signal.SIGRTMIN + 1  # no other part uses it; a process that has not begun yet would end by it
STDERR = 2
MALLINFO2 = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)
_python_bytes_in = re.compile(rb"# bytes in allocated blocks\s*=\s*([\d,]+)").search


class _MallocInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO2)
    hblkhd: int  # in blocks that were mapped one by one
    uordblks: int  # in all other blocks


def bytes_in_use() -> int:
    """Return what malloc and Python's allocator of small objects have given out."""
    from_malloc = _mallinfo2()()
    return from_malloc.uordblks + from_malloc.hblkhd + _small_objects()


@cache  # each look-up of the library leaves 2 kB to the garbage collector
def _mallinfo2() -> Callable[[], _MallocInfo]:
    function = ctypes.CDLL(None).mallinfo2
    function.restype = _MallocInfo
    return function


def _small_objects() -> int:
    """Python only prints it, to the standard error."""
    with TemporaryFile() as printed:
        before = os.dup(STDERR)
        os.dup2(printed.fileno(), STDERR)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(before, STDERR)
            os.close(before)
        printed.seek(0)
        found = _python_bytes_in(printed.read())
    assert found, "Python's allocator of small objects is not the usual one"
    return int(found[1].replace(b",", b""))


def report_of(folder: Path, pid: int) -> Path:
    """Return the file that a process with TMPDIR `folder` writes."""
    return folder / f"memory-{pid}"


def install() -> None:
    """Write the bytes in use to a file in TMPDIR at each signal `ASK`; a process that is forked from this one does, too."""
    folder = Path(os.environ["TMPDIR"])

    def report(_signal: int, _frame: FrameType | None) -> None:
        whole = report_of(folder, os.getpid())
        part = whole.with_suffix(".part")
        part.write_text(str(bytes_in_use()))
        part.rename(whole)

    signal.signal(ASK, report)
