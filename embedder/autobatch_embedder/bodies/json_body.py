"""Read a request body as JSON, as strictly and as loosely as TEI's serde does.

1. JSON itself is strict: no NaN, no BOM, no lone surrogate, no control character in a string.
2. Bytes after the first value are ignored: `{"inputs":"a"} junk` is a request.
3. A known key may not be repeated; unknown keys may be anything.

A fast parser, which reads them in the same way, reads nearly all bodies. The others, and all that are refused, are
read by a parser that follows all of serde's rules.
"""

from typing import Any, Final

import orjson

from autobatch_embedder import errors
from autobatch_embedder.bodies.json_text import Fault
from autobatch_embedder.bodies.structs import Struct
from autobatch_embedder.bodies.typed_reader import TypedReader

ODD: Final = object()
"""A body in which the fast parser may see something else, or nothing."""


def plain(body: bytes, struct: Struct) -> Any:
    """Return the value of a body, or ODD if a parser like serde's has to decide.

    That is: a repeated key, a key with escapes, or `-0`, which is not an integer to serde.
    """
    if b"\\u" in body or b"-0" in body or any(body.count(b'"%b"' % key.encode()) > 1 for key in _keys(struct)):
        return ODD
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return ODD


def in_full(body: bytes, struct: Struct) -> dict[str, Any]:
    """Return the fields of a body.

    Raises:
        BodyError: 400 for text that is not JSON, 422 for JSON that does not match the struct.
    """
    try:
        return TypedReader(body).struct(struct)
    except Fault as fault:
        end = len(body) if fault.index is None else fault.index
        line_begins = body.rfind(b"\n", 0, end) + 1
        line = body.count(b"\n", 0, end) + 1
        text = f"{fault} at line {line} column {end - line_begins}"
        raise errors.invalid_json(text) if fault.is_syntax else errors.wrong_shape(text) from fault


def _keys(struct: Struct) -> list[str]:
    return [*struct.keys, *(key for inner in struct.nested.values() for key in inner.keys)]
