"""Read a request body as JSON, as strictly and as loosely as TEI's serde does.

1. JSON itself is strict: no NaN, no BOM, no lone surrogate, no control character in a string.
2. Bytes after the first value are not looked at: `{"inputs":"a"} junk` is a request.
3. A known key may not be repeated; unknown keys may be anything.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from embedder.errors import BodyError, invalid_json
from embedder.structs import Struct

# Strings (so that brackets inside them do not count) and the bytes that give JSON its structure.
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_SPACE = b" \t\r\n"

Path = tuple[str, ...]
"""The keys that lead to an object; an element of an array has the key ""."""


def load(body: bytes) -> tuple[Any, str]:
    """Return the first value of the body and where it ends, as the tail of an error text: ` at line L column C`.

    Raises:
        BodyError: 400 for text that is not JSON.
    """
    value, end = _load(body)
    line = body.count(b"\n", 0, end) + 1
    column = end - (body.rfind(b"\n", 0, end) + 1)
    return value, f" at line {line} column {column}"


def repeated(body: bytes, struct: Struct) -> tuple[Path, str] | None:
    """Return the first field that an object of the struct has twice, and the path of that object.

    JSON parsers would silently take the last.
    """
    keys_at = dict(_keys_at(struct))
    # Nearly every body ends here: each known key occurs at most once in it, quoted.
    if all(body.count(b'"%b"' % key.encode()) < 2 for keys in keys_at.values() for key in keys):
        return None
    seen: set[tuple[Path, str]] = set()
    for written in _outline(body)[0]:
        path, key = written
        if written in seen and key in keys_at.get(path, ()):
            return written
        seen.add(written)
    return None


def _keys_at(struct: Struct, path: Path = ()) -> Iterator[tuple[Path, Sequence[str]]]:
    yield path, struct.keys
    nested: Mapping[str, Struct] = struct.nested
    for key, inner in nested.items():
        yield from _keys_at(inner, (*path, key))


def _load(body: bytes) -> tuple[Any, int]:
    """The first JSON value of the body and the index after it."""
    try:
        return _parsed(body), len(body.rstrip(_SPACE))
    except orjson.JSONDecodeError as error:
        _, end = _outline(body)
        if end == len(body):
            raise _not_json(error) from error
    try:
        return _parsed(body[:end]), end
    except orjson.JSONDecodeError as error:
        raise _not_json(error) from error


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "infinity" not in error.msg:
            raise
        return json.loads(body)  # a number beyond all floats is none to serde either, but where nobody looks at it


def _not_json(error: orjson.JSONDecodeError) -> BodyError:
    if "end of data" in error.msg or "zero-length" in error.msg:
        return invalid_json(f"EOF while parsing a value at line {error.lineno} column {error.colno - 1}")
    return invalid_json(f"{error.msg} at line {error.lineno} column {error.colno}")


def _outline(body: bytes) -> tuple[list[tuple[Path, str]], int]:
    """Every key as often as it is written, with its object's path, and the index after the outermost value.

    The index is the body's length when the outermost value is not an object or array, or does not end.
    """
    keys: list[tuple[Path, str]] = []
    opened: list[tuple[str, bool]] = []  # of every bracket that is open: its key, and whether it is an object's
    key, key_is_next = "", False
    for match in _STRUCTURE.finditer(body):
        token = match[0]
        if token in (b"{", b"["):
            key_is_next = token == b"{"
            opened.append((key, key_is_next))
            key = ""
        elif token in (b"}", b"]"):
            if len(opened) <= 1:
                return keys, match.end()
            opened.pop()
            key_is_next = False
        elif token == b",":
            key, key_is_next = "", bool(opened) and opened[-1][1]
        elif key_is_next:
            key, key_is_next = _text(token), False
            keys.append((tuple(name for name, _ in opened[1:]), key))
    return keys, len(body)


def _text(token: bytes) -> str:
    try:
        return str(orjson.loads(token))
    except orjson.JSONDecodeError:
        return ""
