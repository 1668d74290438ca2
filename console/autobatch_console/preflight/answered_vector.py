"""What an answer to one text must be: one row of numbers. Pure.

The batcher passes a component that is `null` on, which is how text-embeddings-inference writes one that is not a number; a model
that answers so to a plain text computes nothing.
"""

import json
from typing import Any

CHARACTERS_MAX = 100  # of a server's own words


def dimension_in(rows: Any) -> int | None:
    """Return the length of the one vector; None where there is none."""
    match rows:
        case [[_, *_] as row] if all(type(component) in (int, float) for component in row):
            return len(row)
    return None


def fault_in(rows: Any) -> str:
    """Return what the rows of one text are where they are no vector, in a few words."""
    match rows:
        case [[]]:
            return "an empty vector"
        case [[_, *_] as row] if all(type(component) in (int, float, type(None)) for component in row):
            return "a vector with components that are not numbers (null)"
    return f"{shown(rows)}, which is not one array of numbers"


def shown(value: object) -> str:
    """Return a server's own words, as far as they may stand in a line of ours."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(character for character in text[:CHARACTERS_MAX] if character.isprintable())
