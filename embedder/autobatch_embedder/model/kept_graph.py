"""A graph's files on disk: whole or not there, and found out if they were damaged later.

A graph is one file with small constants and another with the large ones, and beside them lies a file of checksums. What
onnxruntime loads of damaged constants are vectors, only wrong ones.
"""

import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import time

import orjson

log = logging.getLogger(__name__)

SUMS = ".sums"
"""The suffix of the file of checksums: CRC-32 by file name. 45 ms for MiniLM's 90 MB, SHA-256 takes 90."""
_READ_BYTES = 1 << 20
_PART = ".part"
_PART_S = 86_400.0
"""Without a change a folder that is being written is one whose process was killed."""


def keep(graph: Path, write: Callable[[Path], None]) -> None:
    """Write the files of a graph; two processes that do it at once cannot read half of one.

    Args:
        graph: Where it is to be. Where it is, its other files are: it comes last.
        write: Writes it to the path it is given, which has the same name, and other files beside it.

    Raises:
        OSError: They cannot be written.
    """
    graph.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_parts(graph.parent)
    with tempfile.TemporaryDirectory(dir=graph.parent, prefix=graph.stem, suffix=_PART) as name:
        folder = Path(name)
        write(folder / graph.name)
        sums = {file.name: _sum(file) for file in folder.iterdir()}
        (folder / graph.name).with_suffix(SUMS).write_bytes(orjson.dumps(sums))
        for file in sorted(folder.iterdir(), key=lambda file: file.name == graph.name):
            with file.open("rb") as written:
                os.fsync(written.fileno())  # or after a power loss the new name may have zeros under it
            file.chmod(0o644)  # an image may be built as root and run as another user
            file.replace(graph.parent / file.name)


def _remove_left_parts(folder: Path) -> None:
    for part in folder.glob(f"*{_PART}"):
        with suppress(FileNotFoundError):  # another start may be removing it
            if part.stat().st_mtime < time() - _PART_S:
                shutil.rmtree(part, ignore_errors=True)


def is_kept(graph: Path) -> bool:
    """Whether the graph is there with all its files as they were written; the log says what is damaged."""
    if not graph.is_file():
        return False
    damage = _damage(graph)
    if damage:
        log.warning("graph_damaged", extra={"file": str(graph), "reason": damage})
    return not damage


def _damage(graph: Path) -> str:
    """What is wrong with its files; empty: nothing."""
    try:
        sums: dict[str, int] = orjson.loads(graph.with_suffix(SUMS).read_bytes())
        changed = [name for name, expected in sums.items() if _sum(graph.parent / name) != expected]
    except (OSError, ValueError, AttributeError) as error:
        return str(error)
    return f"another checksum than when it was written: {', '.join(changed)}" if changed else ""


def _sum(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            found = zlib.crc32(part, found)
    return found
