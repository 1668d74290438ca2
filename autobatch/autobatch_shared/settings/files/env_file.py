"""Which names `.env` has, and which of its lines could not be understood.

docker compose reads the same file, with capitals only; so a name in lower case is a fault: it would count here and not there.
"""

import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from dotenv.parser import Binding, parse_stream

ENV_FILE = ".env"
ENCODING = "utf-8-sig"  # an editor's byte order mark is no part of the first name


class EnvFile(NamedTuple):
    """A file that was read.

    Attributes:
        names: The names of its settings in lower case, and the line of each.
        faults: What is wrong with its lines, a sentence each; no value is in them.
        is_whole: Whether each line was understood.
    """

    names: Mapping[str, int] = MappingProxyType({})
    faults: tuple[str, ...] = ()
    is_whole: bool = True


def read_env_file() -> EnvFile:
    """Read `.env` of the working folder; nothing where there is none.

    Raises:
        OSError, UnicodeDecodeError: It cannot be read, or is not UTF-8.
    """
    path = Path(ENV_FILE)
    if not path.is_file():
        return EnvFile()
    lines = [line for line in parse_stream(io.StringIO(path.read_text(ENCODING))) if line.error or line.key is not None]
    whole = [line.key for line in lines if line.key is not None and line.value is not None]
    faults = [fault for line in lines if (fault := _fault(line))]
    faults += [f"{ENV_FILE}: {name} stands there {count} times" for name, count in Counter(whole).items() if count > 1]
    names = {line.key.lower(): line.original.line for line in lines if line.key is not None}
    return EnvFile(names, tuple(faults), all(line.value is not None for line in lines))


def _fault(line: Binding) -> str | None:
    where = f"{ENV_FILE}: line {line.original.line}"
    if line.key is None:
        return f"{where} is not NAME=value"
    if line.value is None:
        return f"{where}: {line.key} has no value; write {line.key.upper()}=..., or leave it out"
    if not line.value.isprintable():  # no setting has more than one line
        return f"{where}: the value of {line.key} goes on over its line's end, or has other control characters"
    if line.key != line.key.upper():
        return f"{where}: {line.key} must be in capitals: {line.key.upper()}"
    return None
