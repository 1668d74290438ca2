"""JSON values as the types of TEI's structs, with serde's tolerance and serde's messages for other values.

Errors are `ShapeError`s without a position in the text: only a body has lines and columns, a value inside it does not.
"""

from collections.abc import Mapping
from typing import Any, TypeGuard, TypeVar

from autobatch_embedder.errors import EmbedderError

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
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
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


def wrong_type(path: str, value: Any, expected: str) -> ShapeError:
    """Say what a value is and what it should be."""
    return ShapeError(path, f"invalid type: {_describe(value)}, expected {expected}")


def sequence(value: Any, path: str) -> list[Any]:
    """A list of any values."""
    if not isinstance(value, list):
        raise wrong_type(path, value, "a sequence")
    return value


def text(value: Any, path: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong_type(path, value, "a string")
    return value


def texts(value: Any, path: str) -> tuple[str, ...]:
    """A list of strings."""
    return tuple(text(item, f"{path}[{place}]") for place, item in enumerate(sequence(value, path)))


def boolean(value: Any, path: str) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise wrong_type(path, value, "a boolean")
    return value


def size(value: Any, path: str) -> int:
    """A number that is not negative."""
    # `type`, not `isinstance`: a bool is an int to Python, not to TEI.
    if type(value) is not int:
        raise wrong_type(path, value, "usize")
    if not 0 <= value <= _U64_MAX:
        raise ShapeError(path, f"invalid value: {_describe(value)}, expected usize")
    return value


def variant(name: str, known: Mapping[str, T], path: str) -> T:
    """Return the value that a name stands for."""
    if name not in known:
        names = [f"`{each}`" for each in known]
        expected = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
        raise ShapeError(path, f"unknown variant `{name}`, expected {expected}")
    return known[name]


def is_ids(value: Any) -> TypeGuard[list[int]]:
    """Whether this is a list of token ids, or an empty one."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= _U32_MAX for item in value)


def pairs(value: Any, path: str) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """What /predict takes: one text or pair, or a list of them; and whether it was a list."""
    if isinstance(value, str):
        return ((value,),), False
    if not isinstance(value, list):
        raise wrong_type(path, value, PAIRS)
    if not value:
        raise ShapeError(path, f"invalid length 0, expected {PAIRS}")
    if isinstance(value[0], str):
        return (_one_or_two(texts(value[:3], path), path),), False
    if not isinstance(value[0], list) or not all(isinstance(item, str) for item in value[0]):
        raise ShapeError(f"{path}[0]", "data did not match any variant of untagged enum Internal")
    rows = enumerate(value)
    return tuple(_one_or_two(texts(row, f"{path}[{place}]"), path) for place, row in rows), True


def _one_or_two(found: tuple[str, ...], path: str) -> tuple[str, ...]:
    if len(found) not in (1, 2):
        raise ShapeError(path, f"invalid length {len(found)}, expected {PAIRS}")
    return found


def _describe(value: object) -> str:
    """Name a JSON value as serde's messages do."""
    shown = value
    if isinstance(value, bool):
        shown = str(value).lower()
    elif isinstance(value, float):
        shown = _shortest(value)
    elif isinstance(value, str):
        shown = "".join(map(_escaped, value))
    return _DESCRIPTIONS[type(value)].format(shown)


def _shortest(number: float) -> str:
    """A float as Rust prints it: Python's digits, and an exponent without signs and zeros."""
    mantissa, e, exponent = repr(number).partition("e")
    if not e:
        return mantissa
    if int(exponent) == -5:  # the largest one that is written without an exponent
        sign, digits = ("-" if number < 0 else ""), mantissa.lstrip("-").replace(".", "")
        return f"{sign}0.0000{digits}"
    return f"{mantissa}e{int(exponent)}"


def _escaped(character: str) -> str:
    """A character as Rust's `{:?}` writes it in a string."""
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"
