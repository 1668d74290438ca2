"""A reader of JSON as strict as the upstream's: the judge of what our faster and laxer readers make of a body."""

import json
from typing import Any

from tests.unit.planning import Members, refuse

DIGITS_MAX = 4000  # of an integer, for Python


class TooDeep(Exception):
    """Nested deeper than Python's own reader can follow: nobody can say what it is."""


def read(body: bytes) -> Any:
    """Return what it says, objects as `Members`.

    Raises:
        ValueError: No JSON.
        TooDeep: As its docstring says.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=Members, parse_constant=refuse, parse_int=_integer)
    except RecursionError as exc:
        raise TooDeep from exc


def _integer(text: str) -> float | int:
    """As serde_json: `-0` is no integer, and neither is what no integer type holds."""
    return float(text) if text == "-0" or len(text) > DIGITS_MAX else int(text)
