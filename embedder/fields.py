"""Typed access to the fields of one struct, with serde's tolerance and serde's words for what does not fit.

Faults are `ShapeError`s without a place in the text: only a body has lines and columns, a value inside it has not.
"""

from collections.abc import Mapping
from typing import Any, TypeGuard, TypeVar

from embedder.errors import EmbedderError
from embedder.requests import Input
from embedder.structs import Struct

T = TypeVar("T")

PAIRS = (
    "a string, a pair of strings [string, string] "
    "or a batch of mixed strings and pairs [[string], [string, string], ...]"
)
"""What /predict expects, in its own words."""

_DESCRIPTIONS = {
    type(None): "null",
    bool: "boolean `{}`",
    int: "integer `{}`",
    float: "floating point `{}`",
    str: 'string "{}"',
    list: "sequence",
    dict: "map",
}
_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1


class ShapeError(EmbedderError):
    """A value that is not what a struct says.

    Attributes:
        path: From the struct to the value, such as `inputs.sentences[2]`; empty for the struct itself.
        reason: What is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class TooLongError(ShapeError):
    """An array with more elements than the struct has fields. To a parser of text that is a fault of syntax."""


class Fields:
    """The fields of a JSON object, or of an array that has them in order. Keys that the struct has not are unseen."""

    def __init__(self, value: Any, struct: Struct, path: str = "") -> None:
        self._path = f"{path}." if path else ""
        if isinstance(value, list):
            value = _by_position(value, struct, path)
        if not isinstance(value, dict):
            raise _wrong_type(path, value, f"struct {struct.name}")
        self._struct = struct
        self._owner = path
        self._values: dict[str, Any] = {key: value[key] for key in struct.keys if key in value}

    def inputs(self, key: str) -> tuple[tuple[Input, ...], bool]:
        """Texts and lists of token ids, one or a list of them; and whether it was a list."""
        value = self._required(key)
        # The order matters: an empty list is one empty list of ids, not an empty batch.
        if isinstance(value, str) or _is_ids(value):
            return (value,), False
        if isinstance(value, list) and all(isinstance(item, str) or _is_ids(item) for item in value):
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
        if _is_ids(value):
            return (value,), False
        if isinstance(value, list) and all(map(_is_ids, value)):
            return tuple(value), True
        raise self._no_variant(key, "InputIds")

    def pairs(self, key: str) -> tuple[tuple[tuple[str, ...], ...], bool]:
        """What /predict takes: one text or pair, or a list of them; and whether it was a list."""
        value, path = self._required(key), self._path + key
        if isinstance(value, str):
            return ((value,),), False
        if not isinstance(value, list):
            raise _wrong_type(path, value, PAIRS)
        if not value:
            raise ShapeError(path, f"invalid length 0, expected {PAIRS}")
        if isinstance(value[0], str):
            return (_one_or_two(_texts(value[:3], path), path),), False
        if not isinstance(value[0], list) or not all(isinstance(item, str) for item in value[0]):
            raise ShapeError(f"{path}[0]", "data did not match any variant of untagged enum Internal")
        rows = enumerate(value)
        return tuple(_one_or_two(_texts(row, f"{path}[{place}]"), path) for place, row in rows), True

    def text(self, key: str) -> str:
        """A string."""
        return _text(self._required(key), self._path + key)

    def text_or_null(self, key: str) -> str | None:
        """A string; None also when it is left out."""
        value = self._values.get(key)
        return None if value is None else _text(value, self._path + key)

    def text_list(self, key: str) -> tuple[str, ...]:
        """A list of strings, never one alone."""
        return _texts(self._required(key), self._path + key)

    def anything_list(self, key: str) -> list[Any]:
        """A list of whatever."""
        return _list(self._required(key), self._path + key)

    def boolean(self, key: str, *, default: bool) -> bool:
        """A boolean; null is none."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise _wrong_type(self._path + key, value, "a boolean")
        return value

    def boolean_or_null(self, key: str) -> bool | None:
        """A boolean; None also when it is left out."""
        return None if self._values.get(key) is None else self.boolean(key, default=False)

    def size(self, key: str) -> int | None:
        """A number that is not negative; None also when it is left out."""
        value = self._values.get(key)
        if value is None or (type(value) is int and 0 <= value <= _U64_MAX):
            return value
        if type(value) is int:
            raise ShapeError(self._path + key, f"invalid value: {_describe(value)}, expected usize")
        raise _wrong_type(self._path + key, value, "usize")

    def choice(self, key: str, choices: Mapping[str, T], default: T) -> T:
        """One of the names in `choices`, as its value there; null is none of them."""
        if key not in self._values:
            return default
        value = self._values[key]
        if not isinstance(value, str):
            raise _wrong_type(self._path + key, value, "string or map")
        if value not in choices:
            names = [f"`{name}`" for name in choices]
            known = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
            raise ShapeError(self._path + key, f"unknown variant `{value}`, expected {known}")
        return choices[value]

    def nested(self, key: str) -> "Fields":
        """The fields of the struct inside."""
        return Fields(self._required(key), self._struct.nested[key], self._path + key)

    def nested_or_null(self, key: str) -> "Fields":
        """The same; without any field when it is null or left out."""
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
        raise TooLongError(path, f"invalid length {len(value)}, expected fewer elements in array")
    for place, key in enumerate(struct.keys):
        if place >= len(value) and key in struct.positional:
            expected = f"struct {struct.name} with {len(struct.keys)} element{'s' if len(struct.keys) > 1 else ''}"
            raise ShapeError(path, f"invalid length {place}, expected {expected}")
    return dict(zip(struct.keys, value, strict=False))


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong_type(path, value, "a sequence")
    return value


def _texts(value: Any, path: str) -> tuple[str, ...]:
    return tuple(_text(item, f"{path}[{place}]") for place, item in enumerate(_list(value, path)))


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(path, value, "a string")
    return value


def _one_or_two(texts: tuple[str, ...], path: str) -> tuple[str, ...]:
    if len(texts) not in (1, 2):
        raise ShapeError(path, f"invalid length {len(texts)}, expected {PAIRS}")
    return texts


def _is_ids(value: Any) -> TypeGuard[list[int]]:
    # `type`, not `isinstance`: a bool is an int to Python, not to TEI.
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= _U32_MAX for item in value)


def _wrong_type(path: str, value: Any, expected: str) -> ShapeError:
    return ShapeError(path, f"invalid type: {_describe(value)}, expected {expected}")


def _describe(value: object) -> str:
    """Name a JSON value as serde's messages do."""
    shown = str(value).lower() if isinstance(value, bool) else value
    return _DESCRIPTIONS[type(value)].format(shown)
