"""Typed access to the fields of one struct, whether they are sent as an object or as an array. Raises `ShapeError`."""

from collections.abc import Mapping
from typing import Any, TypeVar

from autobatch_embedder.bodies import json_values as shapes
from autobatch_embedder.bodies.json_values import ShapeError, is_ids, wrong_type
from autobatch_embedder.bodies.requests import Input
from autobatch_embedder.bodies.structs import Struct

T = TypeVar("T")


class Fields:
    """The fields of a JSON object, or of an array that has them in order.

    Keys that the struct does not have are ignored.
    """

    def __init__(self, value: Any, struct: Struct, path: str = "") -> None:
        self._path = f"{path}." if path else ""
        if isinstance(value, list):
            value = _by_position(value, struct, path)
        if not isinstance(value, dict):
            raise wrong_type(path, value, f"struct {struct.name}")
        self._struct = struct
        self._owner = path
        self._values: dict[str, Any] = {key: value[key] for key in struct.keys if key in value}

    def inputs(self, key: str) -> tuple[tuple[Input, ...], bool]:
        """Texts and lists of token ids, one or a list of them; and whether it was a list."""
        value = self._required(key)
        # The order matters: an empty list is one empty list of ids, not an empty batch.
        if isinstance(value, str) or is_ids(value):
            return (value,), False
        if isinstance(value, list) and all(isinstance(item, str) or is_ids(item) for item in value):
            return tuple(value), True
        raise self._no_variant(key, "Input")

    def texts(self, key: str) -> tuple[tuple[str, ...], bool]:
        """One text or a list of them; and whether it was a list."""
        value = self._required(key)
        if isinstance(value, str):
            return (value,), False
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value), True
        raise self._no_variant(key, "TokenizeInput")

    def ids(self, key: str) -> tuple[tuple[list[int], ...], bool]:
        """One list of token ids or a list of them; and whether it was a list of lists."""
        value = self._required(key)
        if is_ids(value):
            return (value,), False
        if isinstance(value, list) and all(map(is_ids, value)):
            return tuple(value), True
        raise self._no_variant(key, "InputIds")

    def pairs(self, key: str) -> tuple[tuple[tuple[str, ...], ...], bool]:
        """What /predict takes."""
        return shapes.pairs(self._required(key), self._path + key)

    def text(self, key: str) -> str:
        """A string."""
        return shapes.text(self._required(key), self._path + key)

    def text_or_null(self, key: str) -> str | None:
        """A string; None also when it is left out."""
        value = self._values.get(key)
        return None if value is None else shapes.text(value, self._path + key)

    def text_list(self, key: str) -> tuple[str, ...]:
        """A list of strings, never a single one."""
        return shapes.texts(self._required(key), self._path + key)

    def sequence(self, key: str) -> list[Any]:
        """A list of any values."""
        return shapes.sequence(self._required(key), self._path + key)

    def boolean(self, key: str, *, default: bool) -> bool:
        """A boolean, not null."""
        return shapes.boolean(self._values.get(key, default), self._path + key)

    def boolean_or_null(self, key: str) -> bool | None:
        """A boolean; None also when it is left out."""
        return None if self._values.get(key) is None else self.boolean(key, default=False)

    def size_or_null(self, key: str) -> int | None:
        """A number that is not negative; None also when it is left out."""
        value = self._values.get(key)
        return None if value is None else shapes.size(value, self._path + key)

    def choice(self, key: str, choices: Mapping[str, T], default: T) -> T:
        """One of the names in `choices`, as its value there; null is not allowed."""
        if key not in self._values:
            return default
        value = self._values[key]
        if not isinstance(value, str):
            raise wrong_type(self._path + key, value, "string or map")
        return shapes.variant(value, choices, self._path + key)

    def nested(self, key: str) -> "Fields":
        """The fields of the struct inside."""
        return Fields(self._required(key), self._struct.nested[key], self._path + key)

    def nested_or_null(self, key: str) -> "Fields":
        """The same; it has no fields if it is null or left out."""
        value = self._values.get(key)
        return Fields({} if value is None else value, self._struct.nested[key], self._path + key)

    def _required(self, key: str) -> Any:
        if key not in self._values:
            raise ShapeError(self._owner, f"missing field `{key}`")
        return self._values[key]

    def _no_variant(self, key: str, enum: str) -> ShapeError:
        return ShapeError(self._path + key, f"data did not match any variant of untagged enum {enum}")


def _by_position(value: list[Any], struct: Struct, path: str) -> dict[str, Any]:
    if len(value) > len(struct.keys):
        raise ShapeError(path, f"invalid length {len(value)}, expected fewer elements in array")
    for place, key in enumerate(struct.keys):
        if place >= len(value) and key in struct.positional:
            expected = f"struct {struct.name} with {len(struct.keys)} element{'s' if len(struct.keys) > 1 else ''}"
            raise ShapeError(path, f"invalid length {place}, expected {expected}")
    return dict(zip(struct.keys, value, strict=False))
