"""The first JSON value of a body, as TEI reads it, where our decoder gives up. Pure.

1. What follows the value is ignored.
2. A member of any other name than those of the fields is skipped, whatever is in it: any depth, strings of any bytes,
   numbers of any size.
3. What is no JSON here is none to TEI, so a body of which nothing is found here is one that TEI refuses.
4. The work is bounded by STEPS_MAX; between two steps are regular expressions that never go back.

Source: `ignore_value` of serde_json 1, and TEI's reader of bodies, which does not look for the end of the text.
"""

import re
from collections.abc import Collection, Iterator

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED, InvalidRequest

STEPS_MAX = 50_000  # 25 ms. A step is a member of the outermost object, or a list or object that has others in it.

DEPTH_MAX = 128  # of a value that is not skipped: what is nested deeper is an error to TEI

_BLANKS = rb"[ \t\n\r]*+"
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
_COMMA = b"," + _BLANKS
_NAME = _STRING + _BLANKS + b":" + _BLANKS


def _any_of(*patterns: bytes) -> bytes:
    return b"(?:" + b"|".join(patterns) + b")"


def _all(item: bytes) -> bytes:
    """Items with commas between them, or none."""
    return b"(?:(?:" + item + _COMMA + b")*+" + item + b")?+"


_SCALAR = _any_of(_STRING, _NUMBER, b"true", b"false", b"null") + _BLANKS
# A scalar, or a list or object that has only scalars in it: a step takes all of them that follow one another.
_FLAT = _any_of(
    _SCALAR,
    rb"\[" + _BLANKS + _all(_SCALAR) + rb"\]" + _BLANKS,
    rb"\{" + _BLANKS + _all(_NAME + _SCALAR) + rb"\}" + _BLANKS,
)
_VALUE = _any_of(_FLAT, rb"(\[)" + _BLANKS, rb"(\{)" + _BLANKS + _NAME)
_CLOSING = {1: b"]", 2: b"}"}  # by the group of _VALUE that opens it

_object_begins = re.compile(_BLANKS + rb"\{" + _BLANKS + rb"(\})?").match
_list_begins = re.compile(_BLANKS + rb"(?=\[)").match
_member_begins = re.compile(b"(" + _STRING + b")" + _BLANKS + b":" + _BLANKS).match
_member_ends = re.compile(rb"(\})|" + _COMMA).match
_value_in = {
    b"": re.compile(_VALUE).match,
    b"]": re.compile(b"(?:" + _FLAT + _COMMA + b")*+" + _VALUE).match,
    b"}": re.compile(b"(?:" + _FLAT + _COMMA + _NAME + b")*+" + _VALUE).match,
}
_value_ends_in = {
    b"]": re.compile(rb"(\])" + _BLANKS + b"|" + _COMMA).match,
    b"}": re.compile(rb"(\})" + _BLANKS + b"|" + _COMMA + _NAME).match,
}
_decode_name = msgspec.json.Decoder(str).decode


def only(fields: Collection[str], body: bytes) -> bytes | None:
    """Return the object that a body begins with, less the members that are no fields; or the list; None: neither.

    Raises:
        InvalidRequest: It takes more than STEPS_MAX to know.
    """
    found = members(fields, body)
    if found is not None:
        return b"{%b}" % b",".join([b'"%b":%b' % (name.encode(), value) for name, value in found if name in fields])
    start = _list_begins(body)
    end = None if start is None else _end_of_value(body, start.end(), DEPTH_MAX, iter(range(STEPS_MAX)))
    return None if end is None else body[:end]


def members(fields: Collection[str], body: bytes) -> list[tuple[str, bytes]] | None:
    """Return the members of the object that a body begins with, repeated ones too; None: it begins with none.

    Raises:
        InvalidRequest: It takes more than STEPS_MAX to know.
    """
    start = _object_begins(body)
    if start is None or start.lastindex:
        return None if start is None else []
    found: list[tuple[str, bytes]] = []
    at, steps = start.end(), iter(range(STEPS_MAX))
    for _ in steps:
        begin = _member_begins(body, at)
        if begin is None:
            return None
        try:
            name = _decode_name(begin[1])
        except NOT_AS_ASKED:  # unlike a value, it is always read
            return None
        end = _end_of_value(body, begin.end(), DEPTH_MAX if name in fields else STEPS_MAX, steps)
        after = None if end is None else _member_ends(body, end)
        if after is None:
            return None
        found.append((name, body[begin.end() : end]))
        if after.lastindex:
            return found
        at = after.end()
    raise _too_much()


def _end_of_value(body: bytes, at: int, depth_max: int, steps: Iterator[int]) -> int | None:
    """Return where the value that begins here ends, with the blanks after it; None: it is no JSON, or too deep."""
    opened: list[bytes] = []  # what closes each list and object around
    for _ in steps:
        found = _value_in[opened[-1] if opened else b""](body, at)
        if found is None or len(opened) > depth_max:
            return None
        at = found.end()
        if found.lastindex:
            opened.append(_CLOSING[found.lastindex])
            continue
        while opened:
            found = _value_ends_in[opened[-1]](body, at)
            if found is None:
                return None
            at = found.end()
            if not found.lastindex:
                break
            opened.pop()
        else:
            return at
    raise _too_much()


def _too_much() -> InvalidRequest:
    return InvalidRequest(f"The body has more than {STEPS_MAX} members, or lists and objects in one another")
