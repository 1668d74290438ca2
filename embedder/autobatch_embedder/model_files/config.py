"""Typed access to the fields of one JSON file of a model. Every error names the file and the field."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from autobatch_embedder.errors import ModelFolderError, NotUnderstoodError

T = TypeVar("T")
_REQUIRED: Final = object()


class Config:
    """The fields of a JSON object.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self._values = values

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def items(self) -> Iterable[tuple[str, Any]]:
        """All fields."""
        return self._values.items()

    def value(self, key: str, default: Any = _REQUIRED) -> Any:
        """The field as it is; `default` if it is left out."""
        found = self._values.get(key, default)
        if found is _REQUIRED:
            raise self.fault(f"{key} is missing")
        return found

    def size(self, *keys: str, default: int | None = None) -> int:
        """A positive integer, under the first of its names that is there."""
        found = self._first(keys, default)
        if type(found) is not int or found < 1:
            raise self.fault(f"{keys[0]} is {found!r}, not a positive integer")
        return found

    def count(self, key: str, *, default: int) -> int:
        """An integer that is not negative."""
        found = self._values.get(key, default)
        if type(found) is not int or found < 0:
            raise self.fault(f"{key} is {found!r}, not a number of something")
        return found

    def number(self, *keys: str, default: float | None = None) -> float:
        """A positive number."""
        found = self._first(keys, default)
        if type(found) not in (int, float) or not found > 0:
            raise self.fault(f"{keys[0]} is {found!r}, not a positive number")
        return float(found)

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean."""
        found = self._values.get(key, default)
        if not isinstance(found, bool):
            raise self.fault(f"{key} is {found!r}, not a boolean")
        return found

    def choice(self, *keys: str, choices: Mapping[str, T], default: str | None = None) -> T:
        """One of the names in `choices`, as its value there."""
        found = self._first(keys, default)
        if not isinstance(found, str) or found not in choices:
            raise NotUnderstoodError(f"{self.path}: {keys[0]} is {found!r}; understood are {', '.join(choices)}")
        return choices[found]

    def only(self, key: str, *understood: Any) -> None:
        """Refuse a field that is there with another value than these; the first is what it means to leave it out."""
        found = self._values.get(key, understood[0])
        if found not in understood:
            said = " or ".join(repr(value) for value in understood)
            raise NotUnderstoodError(f"{self.path}: {key} is {found!r}; only {said} is understood")

    def inner(self, key: str) -> "Config":
        """The object in a field; an empty one if it is left out."""
        found = self._values.get(key) or {}
        if not isinstance(found, dict):
            raise self.fault(f"{key} is {found!r}, not an object")
        return Config(self.path, found)

    def fault(self, text: str) -> ModelFolderError:
        """The error of a field."""
        return ModelFolderError(f"{self.path}: {text}")

    def _first(self, keys: tuple[str, ...], default: Any) -> Any:
        for key in keys:
            if key in self._values:
                return self._values[key]
        if default is None:
            raise self.fault(f"{keys[0]} is missing")
        return default


def read(path: Path) -> Config:
    """Read a file that must be there and hold an object.

    Raises:
        ModelFolderError: It is not there, not JSON, or another value.
    """
    value = read_value(path)
    if not isinstance(value, dict):
        raise ModelFolderError(f"{path}: not a JSON object")
    return Config(path, value)


def read_if_there(path: Path) -> Config:
    """Read a file that may be left out: it has no fields then. Raises as `read`."""
    return read(path) if path.is_file() else Config(path, {})


def read_value(path: Path) -> Any:
    """Return the value of a file, of any type. Raises as `read`."""
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path}: no such file") from error
    except (OSError, orjson.JSONDecodeError) as error:
        raise ModelFolderError(f"{path}: {error}") from error
