"""Read a request's body as TEI reads its structs: field by field, so that the first error is reported.

The result always matches the struct: it is an object with the fields that the body has.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from autobatch_embedder.bodies import json_values as shapes
from autobatch_embedder.bodies.json_reader import JsonReader
from autobatch_embedder.bodies.json_text import Fault
from autobatch_embedder.bodies.json_values import ShapeError, is_ids
from autobatch_embedder.bodies.structs import DIRECTIONS, ENCODINGS, Struct, Type


class TypedReader(JsonReader):
    """A body that should be a struct."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._read: dict[Type, Callable[[], Any]] = {
            "bool": lambda: self._scalar(bool, "a boolean"),
            "bool?": lambda: self._or_null(self._read["bool"]),
            "text": lambda: self._scalar(str, "a string"),
            "text?": lambda: self._or_null(self._read["text"]),
            "size?": lambda: self._or_null(self._size),
            "texts": lambda: self._list(self._read["text"]),
            "values": lambda: self._list(self.anything),
            "direction": lambda: self._variant(DIRECTIONS),
            "encoding": lambda: self._variant(ENCODINGS),
            "Input": lambda: self._untagged("Input", lambda item: isinstance(item, str) or is_ids(item)),
            "TokenizeInput": lambda: self._untagged("TokenizeInput", lambda item: isinstance(item, str)),
            "InputIds": lambda: self._untagged("InputIds", is_ids),
            "pairs": self._pairs,
        }

    def struct(self, struct: Struct) -> dict[str, Any]:
        """Read an object with the struct's fields, or a list of them.

        Raises:
            Fault: The body is not JSON, or does not match the struct.
        """
        first = self.begin()
        if first == b"[":
            return self.sequence(lambda: self._by_position(struct))
        if first == b"{":
            return self.object(lambda: self._by_key(struct))
        raise self._wrong_type(f"struct {struct.name}")

    def _by_key(self, struct: Struct) -> dict[str, Any]:
        found: dict[str, Any] = {}
        is_first = True
        while (key := self.key(is_first=is_first)) is not None:
            is_first = False
            if key in found:
                raise self.fault(f"duplicate field `{key}`")
            self.colon()
            if key in struct.keys:
                found[key] = self.within(key, partial(self._value, struct, key))
            else:
                self.within(key, self.skip)
        for key in struct.keys:
            if key not in found and key in struct.required:
                raise self.fault(f"missing field `{key}`")
        return found

    def _by_position(self, struct: Struct) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place, key in enumerate(struct.keys):
            if self.has_item(is_first=place == 0):
                found[key] = self.within(place, partial(self._value, struct, key))
            elif key in struct.positional:
                plural = "s" if len(struct.keys) > 1 else ""
                raise self.fault(
                    f"invalid length {place}, expected struct {struct.name} with {len(struct.keys)} element{plural}"
                )
        return found

    def _value(self, struct: Struct, key: str) -> Any:
        inner = struct.nested.get(key)
        if inner is None:
            return self._read[struct.types[key]]()
        return self.struct(inner) if key in struct.required else self._or_null(partial(self.struct, inner))

    def _or_null(self, read: Callable[[], Any]) -> Any:
        return self.literal() if self.peek_after_space() == b"n" else read()

    def _scalar(self, wanted: type, expected: str) -> Any:
        first = self.begin()
        if wanted is bool and first in (b"t", b"f"):
            return self.literal()
        if wanted is str and first == b'"':
            return self.string()
        raise self._wrong_type(expected)

    def _size(self) -> int:
        first = self.begin()
        if first != b"-" and not first.isdigit():
            raise self._wrong_type("usize")
        try:
            return shapes.size(self.number(), "")
        except ShapeError as error:
            raise self.fault_here(error.reason) from error

    def _list(self, read: Callable[[], Any]) -> list[Any]:
        if self.begin() != b"[":
            raise self._wrong_type("a sequence")
        return self.sequence(lambda: self.items(read))

    def _variant(self, known: Mapping[str, Any]) -> str:
        """Read a name, or an object with the name as its only key and the value null."""
        first = self.begin()
        if first == b'"':
            return self._name(known)
        if first != b"{":
            raise self.syntax_next("expected value")
        self.index += 1
        self.begin()
        name = self._name(known)
        self.colon()
        self.within(name, self._unit_of_variant)
        if self.peek_after_space() != b"}":
            raise self.syntax("expected value" if self.peek() else "EOF while parsing an object")
        self.index += 1
        return name

    def _name(self, known: Mapping[str, Any]) -> str:
        name: str = self._scalar(str, "variant identifier")
        try:
            shapes.variant(name, known, "")
        except ShapeError as error:
            raise self.fault_here(error.reason) from error
        return name

    def _unit_of_variant(self) -> None:
        if self.begin() != b"n":
            raise self._wrong_type("unit")
        self.literal()

    def _untagged(self, name: str, fits: Callable[[Any], bool]) -> Any:
        """Read one value, or a list of them."""
        value = self.anything()
        if fits(value) or (isinstance(value, list) and all(map(fits, value))):
            return value
        raise self.fault(f"data did not match any variant of untagged enum {name}")

    def _pairs(self) -> Any:
        first = self.begin()
        if first == b'"':
            return self.string()
        if first == b"[":
            return self.sequence(self._rows)
        if first == b"{":  # it is entered before it is refused
            return self.object(self._no_pairs)
        raise self._wrong_type(shapes.PAIRS)

    def _no_pairs(self) -> NoReturn:
        raise self.fault(shapes.wrong_type("", {}, shapes.PAIRS).reason)

    def _rows(self) -> list[Any]:
        """Read one or two texts, or rows of one or two texts. Nothing after the third text is read."""
        if not self.has_item(is_first=True):
            self._check_length(0)
        rows = [self.within(0, self._untagged_row)]
        are_texts = isinstance(rows[0], str)
        while (len(rows) < 3 if are_texts else self._check_length(len(rows[-1]))) and self.has_item(is_first=False):
            rows.append(self.within(len(rows), self._read["text" if are_texts else "texts"]))
        if are_texts:
            self._check_length(len(rows))
        return rows

    def _untagged_row(self) -> Any:
        value = self.anything()
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            return value
        raise self.fault("data did not match any variant of untagged enum Internal")

    def _check_length(self, length: int) -> bool:
        if length not in {1, 2}:
            raise self.fault(f"invalid length {length}, expected {shapes.PAIRS}")
        return True

    def _wrong_type(self, expected: str) -> Fault:
        """Name the value at the current position.

        A value without parts is read first, because its error is after it.
        """
        first = self.peek()
        if first in (b"[", b"{"):
            value: Any = [] if first == b"[" else {}
        elif first == b'"' or first in (b"n", b"t", b"f", b"-") or first.isdigit():
            value = self.anything()
        else:
            return self.syntax_next("expected value")
        return self.fault_here(shapes.wrong_type("", value, expected).reason)
