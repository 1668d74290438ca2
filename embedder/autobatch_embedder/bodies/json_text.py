"""Read the scalars of JSON from bytes as serde_json 1 does: in its order, with its messages and its columns. Pure.

A syntax error is at the current position or at the byte that was peeked at, which counts as read; a data error is at
the position where the reader leaves the value that it is about. So data errors have no position at first.
"""

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from autobatch_embedder.errors import EmbedderError

T = TypeVar("T")

_U64_MAX, _I64_MIN = 2**64 - 1, -(2**63)
_INTEGER_DIGITS_MAX = 25  # beyond them it is certainly a float
_space = re.compile(rb"[ \t\r\n]*").match
_plain = re.compile(rb'[^"\\\x00-\x1f]*').match
_digits = re.compile(rb"[0-9]*").match
_hex = re.compile(rb"[0-9a-fA-F]{4}").fullmatch
LITERALS: dict[bytes, tuple[bytes, bool | None]] = {b"n": (b"ull", None), b"t": (b"rue", True), b"f": (b"alse", False)}
END_OF_VALUE = "EOF while parsing a value"
END_OF_STRING = "EOF while parsing a string"
HALF_OF_A_PAIR = "lone leading surrogate in hex escape"


class Fault(EmbedderError):
    """What is wrong with a body.

    Attributes:
        is_syntax: Whether the body is not JSON, rather than JSON of another shape.
        index: Bytes read before it; None as long as its position is not known.
    """

    def __init__(self, message: str, index: int | None, *, is_syntax: bool) -> None:
        super().__init__(message)
        self.is_syntax = is_syntax
        self.index = index


class JsonText:
    """A body, and the current position in it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._path: list[str | int] = []
        self.index = 0

    def within(self, step: str | int, read: Callable[[], T]) -> T:
        """Read what has this key or index in the value around it."""
        self._path.append(step)
        value = read()
        self._path.pop()  # not after an error: nothing is read then
        return value

    def fault(self, message: str) -> Fault:
        """A data error without a position."""
        return Fault(self._at() + message, None, is_syntax=False)

    def fault_here(self, message: str) -> Fault:
        """A data error at the current position."""
        return Fault(self._at() + message, self.index, is_syntax=False)

    def syntax(self, message: str) -> Fault:
        """A syntax error at the current position."""
        return Fault(self._at() + message, self.index, is_syntax=True)

    def syntax_next(self, message: str) -> Fault:
        """A syntax error at the next byte."""
        return Fault(self._at() + message, min(self.index + 1, len(self._body)), is_syntax=True)

    def peek(self) -> bytes:
        """The next byte; empty at the end."""
        return self._body[self.index : self.index + 1]

    def peek_after_space(self) -> bytes:
        """The next byte that is not white space; empty at the end."""
        found = _space(self._body, self.index)
        self.index = found.end() if found else self.index
        return self.peek()

    def literal(self) -> bool | None:
        """Read `null`, `true` or `false`."""
        rest, value = LITERALS[self.peek()]
        self.index += 1
        for expected in rest:
            byte = self._take() or self.fail(self.syntax(END_OF_VALUE))
            if byte[0] != expected:
                raise self.syntax("expected ident")
        return value

    def number(self) -> int | float:
        """Read a number. A number that does not fit into 64 bits is a float, and so is `-0`."""
        start = self.index
        is_float = self.skip_number(END_OF_VALUE)
        text = self._body[start : self.index]
        if not is_float and text != b"-0" and len(text) <= _INTEGER_DIGITS_MAX:
            value = int(text)
            if _I64_MIN <= value <= _U64_MAX:
                return value
        if math.isinf(number := float(text)):
            raise self.syntax("number out of range")
        return number

    def string(self) -> str:
        """Read a string."""
        start = self.index
        self.index += 1
        while (byte := self._end_of_run()) != b'"':
            self.index += 1
            if byte != b"\\":
                raise self.syntax("control character (\\u0000-\\u001F) found while parsing a string")
            self._escape()
        self.index += 1
        try:
            return str(orjson.loads(self._body[start : self.index]))
        except orjson.JSONDecodeError:
            raise self.syntax("invalid unicode code point") from None

    def skip_number(self, at_end: str) -> bool:
        """Go to the end of a number; return whether it has a point or an exponent.

        Args:
            at_end: The error if the body ends before it.
        """
        self.index += self.peek() == b"-"
        if self._digit(at_end) != b"0":
            self._skip_digits()
        elif self.peek().isdigit():
            raise self.syntax_next("invalid number")
        is_float = False
        if self.peek() == b".":
            is_float = True
            self.index += 1
            if not self._skip_digits():
                raise self.syntax_next("invalid number" if self.peek() else at_end)
        if self.peek() in (b"e", b"E"):
            is_float = True
            self.index += 1
            self.index += self.peek() in (b"+", b"-")
            self._digit(at_end)
            self._skip_digits()
        return is_float

    def _digit(self, at_end: str) -> bytes:
        byte = self._take() or self.fail(self.syntax(at_end))
        if not byte.isdigit():
            raise self.syntax("invalid number")
        return bytes(byte)

    def skip_string(self) -> None:
        """Skip a string: it may be invalid text."""
        self.index += 1
        while (byte := self._end_of_run()) != b'"':
            if byte != b"\\":
                raise self.syntax("control character (\\u0000-\\u001F) found while parsing a string")
            self.index += 1
            self._escape(is_read=False)
        self.index += 1

    def _end_of_run(self) -> bytes:
        """Return the first byte in a string that does not stand for itself."""
        found = _plain(self._body, self.index)
        self.index = found.end() if found else self.index
        return self.peek() or self.fail(self.syntax(END_OF_STRING))

    def _escape(self, *, is_read: bool = True) -> None:
        """Read what follows a backslash."""
        byte = self._take() or self.fail(self.syntax(END_OF_STRING))
        if byte == b"u":
            unit = self._unit()
            if is_read:
                self._second_half(unit)
        elif byte not in (b'"', b"\\", b"/", b"b", b"f", b"n", b"r", b"t"):
            raise self.syntax("invalid escape")

    def _second_half(self, unit: int) -> None:
        if 0xDC00 <= unit <= 0xDFFF:
            raise self.syntax(HALF_OF_A_PAIR)
        if not 0xD800 <= unit <= 0xDBFF:
            return
        for expected in (b"\\", b"u"):
            byte = self._take() or self.fail(self.syntax(END_OF_STRING))
            if byte != expected:
                raise self.syntax("unexpected end of hex escape")
        if not 0xDC00 <= self._unit() <= 0xDFFF:
            raise self.syntax(HALF_OF_A_PAIR)

    def _unit(self) -> int:
        text = self._body[self.index : self.index + 4]
        self.index += len(text)
        if len(text) < 4:
            raise self.syntax(END_OF_STRING)
        if not _hex(text):
            raise self.syntax("invalid escape")
        return int(text, 16)

    def _take(self) -> bytes:
        byte = self.peek()
        self.index += len(byte)
        return byte

    def _skip_digits(self) -> int:
        found = _digits(self._body, self.index)
        count = len(found[0]) if found else 0
        self.index += count
        return count

    def _at(self) -> str:
        """Return the prefix of an error: the path to it, if there is any. A key may be empty."""
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in self._path]
        return f"{''.join(steps).removeprefix('.')}: " if steps else ""

    @staticmethod
    def fail(fault: Fault) -> Any:
        """Raise, where an expression is wanted."""
        raise fault
