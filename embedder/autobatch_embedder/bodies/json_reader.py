"""Read the values of JSON from bytes as serde_json 1 does. Pure."""

from collections.abc import Callable
from typing import Any, TypeVar

from autobatch_embedder.bodies.json_text import END_OF_VALUE, LITERALS, Fault, JsonText

T = TypeVar("T")

DEPTH_MAX = 128
_CLOSING = {b"[": b"]", b"{": b"}"}
_END_OF = {b"[": "EOF while parsing a list", b"{": "EOF while parsing an object"}
_COMMA_IN = {b"[": "expected `,` or `]`", b"{": "expected `,` or `}`"}


class JsonReader(JsonText):
    """The same, with lists and objects."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._depth_left = DEPTH_MAX

    def begin(self) -> bytes:
        """Return the first byte of the value that must follow."""
        return self.peek_after_space() or self.fail(self.syntax_next(END_OF_VALUE))

    def anything(self) -> Any:
        """Read a value of any type."""
        first = self.begin()
        if first == b"[":
            return self.sequence(lambda: self.items(self.anything))
        if first == b"{":
            return self.object(self._members)
        if first in LITERALS:
            return self.literal()
        if first == b'"':
            return self.string()
        if first == b"-" or first.isdigit():
            return self.number()
        raise self.syntax_next("expected value")

    def sequence(self, read: Callable[[], T]) -> T:
        """Read what is between two square brackets, and the closing one."""
        return self._enclosed(read, self._end_of_sequence)

    def object(self, read: Callable[[], T]) -> T:
        """Read what is between two braces, and the closing one."""
        return self._enclosed(read, self._end_of_object)

    def has_item(self, *, is_first: bool) -> bool:
        """Return whether a sequence continues; the position is then that of its next item."""
        byte = self.peek_after_space()
        if byte == b"]":
            return False
        if not byte:
            raise self.syntax_next(_END_OF[b"["])
        if is_first:
            return True
        if byte != b",":
            raise self.syntax_next(_COMMA_IN[b"["])
        self.index += 1
        byte = self.peek_after_space()
        if byte == b"]":
            raise self.syntax_next("trailing comma")
        return bool(byte) or self.fail(self.syntax_next(END_OF_VALUE))

    def items(self, read: Callable[[], T]) -> list[T]:
        """Read the items of a sequence."""
        found: list[T] = []
        while self.has_item(is_first=not found):
            found.append(self.within(len(found), read))
        return found

    def key(self, *, is_first: bool) -> str | None:
        """Return the next key of an object; None at its end."""
        byte = self.peek_after_space()
        if byte == b"}":
            return None
        if not byte:
            raise self.syntax_next(_END_OF[b"{"])
        if not is_first:
            if byte != b",":
                raise self.syntax_next(_COMMA_IN[b"{"])
            self.index += 1
            byte = self.peek_after_space() or self.fail(self.syntax_next(END_OF_VALUE))
            if byte == b"}":
                raise self.syntax_next("trailing comma")
        if byte != b'"':
            raise self.syntax_next("key must be a string")
        return self.string()

    def colon(self) -> None:
        """Read the colon after a key."""
        byte = self.peek_after_space() or self.fail(self.syntax_next(_END_OF[b"{"]))
        if byte != b":":
            raise self.syntax_next("expected `:`")
        self.index += 1

    def skip(self) -> None:
        """Skip a value: its strings may be invalid text, its numbers larger than any float, its depth any."""
        opened: list[bytes] = []
        while True:
            byte = self.begin()
            if byte in _CLOSING:
                opened.append(byte)
                self.index += 1
                if self._leave(opened, after_value=False):
                    return
            else:
                self._skip_scalar(byte)
                if self._leave(opened, after_value=True):
                    return
            if opened[-1] == b"{":
                self._skip_key()

    def _leave(self, opened: list[bytes], *, after_value: bool) -> bool:
        """Read closing brackets and the comma after them; return whether the outermost value has ended."""
        while opened:
            byte = self.peek_after_space() or self.fail(self.syntax_next(_END_OF[opened[-1]]))
            if byte == b"," and after_value:
                self.index += 1
                return False
            if byte != _CLOSING[opened[-1]]:
                if after_value:
                    raise self.syntax_next(_COMMA_IN[opened[-1]])
                return False
            self.index += 1
            opened.pop()
            after_value = True
        return True

    def _skip_key(self) -> None:
        byte = self.peek_after_space() or self.fail(self.syntax_next(_END_OF[b"{"]))
        if byte != b'"':
            raise self.syntax_next("key must be a string")
        self.skip_string()
        self.colon()

    def _skip_scalar(self, first: bytes) -> None:
        if first in LITERALS:
            self.literal()
        elif first == b'"':
            self.skip_string()
        elif first == b"-" or first.isdigit():
            self.skip_number("invalid number")
        else:
            raise self.syntax_next("expected value")

    def _enclosed(self, read: Callable[[], T], end: Callable[[], None]) -> T:
        self._depth_left -= 1
        if not self._depth_left:
            raise self.syntax_next("recursion limit exceeded")
        self.index += 1
        try:
            value = read()
        except Fault as fault:
            if fault.index is None:  # its position is after the value that it is about
                _quietly(end)
                fault.index = self.index
            raise
        self._depth_left += 1
        end()
        return value

    def _end_of_sequence(self) -> None:
        byte = self.peek_after_space() or self.fail(self.syntax_next(_END_OF[b"["]))
        if byte == b",":
            self.index += 1
            raise self.syntax_next("trailing comma" if self.peek_after_space() == b"]" else "trailing characters")
        if byte != b"]":
            raise self.syntax_next("trailing characters")
        self.index += 1

    def _end_of_object(self) -> None:
        byte = self.peek_after_space() or self.fail(self.syntax_next(_END_OF[b"{"]))
        if byte != b"}":
            raise self.syntax_next("trailing comma" if byte == b"," else "trailing characters")
        self.index += 1

    def _members(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        is_first = True
        while (key := self.key(is_first=is_first)) is not None:
            is_first = False
            self.colon()
            found[key] = self.within(key, self.anything)
        return found


def _quietly(end: Callable[[], None]) -> None:
    try:
        end()
    except Fault:
        return
