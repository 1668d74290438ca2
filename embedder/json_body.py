"""Read a request body as the JSON object of one struct, as strictly and as loosely as TEI's serde does.

1. JSON itself is strict: no NaN, no BOM, no lone surrogate, no control character in a string.
2. Bytes after the first value are not looked at: `{"inputs":"a"} junk` is a request.
3. A known key may not be repeated; unknown keys may be anything.
4. An array with every field in order is taken as the struct.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from embedder.errors import BodyError, invalid_json, wrong_shape

# Strings (so that brackets inside them do not count) and the bytes that give JSON its structure.
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_SPACE = b" \t\r\n"
_DESCRIPTIONS = {
    type(None): "null",
    bool: "boolean `{}`",
    int: "integer `{}`",
    float: "floating point `{}`",
    str: 'string "{}"',
    list: "sequence",
    dict: "map",
}


def parse(body: bytes, struct: str, keys: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the fields of the struct and where the value ends, as the tail of an error text.

    Args:
        body: The whole request body.
        struct: The name of the struct in TEI, for error texts.
        keys: Its fields, in TEI's order.

    Returns:
        Every key of the object, and ` at line L column C`.

    Raises:
        BodyError: 400 for text that is not JSON, 422 for another shape.
    """
    value, end = _load(body)
    where = _where(body, end)
    if isinstance(value, list):
        if len(value) > len(keys):
            raise invalid_json(f"trailing characters{where}")
        if len(value) < len(keys):
            raise wrong_shape(f"invalid length {len(value)}, expected struct {struct} with {len(keys)} elements{where}")
        return dict(zip(keys, value, strict=True)), where
    if not isinstance(value, dict):
        raise wrong_shape(f"invalid type: {describe(value)}, expected struct {struct}{where}")
    repeated = _repeated(body, keys)
    if repeated is not None:
        raise wrong_shape(f"duplicate field `{repeated}`{where}")
    return value, where


def describe(value: object) -> str:
    """Name a JSON value as serde's messages do."""
    shown = str(value).lower() if isinstance(value, bool) else value
    return _DESCRIPTIONS[type(value)].format(shown)


def _load(body: bytes) -> tuple[Any, int]:
    """The first JSON value of the body and the index after it."""
    try:
        return orjson.loads(body), len(body.rstrip(_SPACE))
    except orjson.JSONDecodeError as error:
        _, end = _outline(body)
        if end == len(body):
            raise _not_json(error) from error
    try:
        return orjson.loads(body[:end]), end
    except orjson.JSONDecodeError as error:
        raise _not_json(error) from error


def _not_json(error: orjson.JSONDecodeError) -> BodyError:
    if "end of data" in error.msg or "zero-length" in error.msg:
        return invalid_json(f"EOF while parsing a value at line {error.lineno} column {error.colno - 1}")
    return invalid_json(f"{error.msg} at line {error.lineno} column {error.colno}")


def _where(body: bytes, end: int) -> str:
    line = body.count(b"\n", 0, end) + 1
    column = end - (body.rfind(b"\n", 0, end) + 1)
    return f" at line {line} column {column}"


def _repeated(body: bytes, keys: Sequence[str]) -> str | None:
    """The first known key that the outermost object has twice; JSON parsers would silently take the last."""
    # Nearly every body ends here: each known key occurs at most once in it, quoted.
    if all(body.count(b'"%b"' % key.encode()) < 2 for key in keys):
        return None
    written, _ = _outline(body)
    return next((key for key in keys if written.count(key) > 1), None)


def _outline(body: bytes) -> tuple[list[str], int]:
    """The keys of the outermost object as often as they are written, and the index after the outermost value.

    The index is the body's length when the outermost value is not an object or array, or does not end.
    """
    keys: list[str] = []
    depth = 0
    key_is_next = False
    for match in _STRUCTURE.finditer(body):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
            key_is_next = depth == 1 and token == b"{"
        elif token in (b"}", b"]"):
            depth -= 1
            if depth <= 0:
                return keys, match.end()
        elif token == b",":
            key_is_next = depth == 1
        elif key_is_next:
            key_is_next = False
            keys.append(_text(token))
    return keys, len(body)


def _text(token: bytes) -> str:
    try:
        return str(orjson.loads(token))
    except orjson.JSONDecodeError:
        return ""
