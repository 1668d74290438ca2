"""A JSON parser as strict as the upstream's, which judges the results of our faster and more lenient parsers."""

import json
from typing import Any

from tests.unit.planning import Members, refuse

DIGITS_MAX = 4000  # of an integer, for Python


class TooDeep(Exception):
    """Nested deeper than Python's own parser supports: it cannot be judged."""


def read(body: bytes) -> Any:
    """Return the value, with objects as `Members`.

    Raises:
        ValueError: It is not JSON.
        TooDeep: It cannot be judged.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=Members, parse_constant=refuse, parse_int=_integer)
    except RecursionError as exc:
        raise TooDeep from exc


def _integer(text: str) -> float | int:
    """As in serde_json: `-0` is not an integer, nor is a number that fits no integer type."""
    return float(text) if text == "-0" or len(text) > DIGITS_MAX else int(text)
