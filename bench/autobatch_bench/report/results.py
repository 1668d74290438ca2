"""Everything that was measured, as lines of JSON: each round once, in the order of time. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from autobatch_bench.comparing.rounds import Round
from autobatch_bench.comparing.sides import Comparison

VARIED = ("bursts", "concurrency", "rates", "lengths", "workloads")
DIGITS = 5  # that count; no figure here is known better


def lines(
    facts: Mapping[str, str],
    comparisons: Sequence[Comparison],
    verdicts: Sequence[msgspec.Struct],
    asides: Sequence[str],
    rounds: Sequence[Round],
) -> bytes:
    """Return one object a line, each under one key that says what it is.

    A round of a comparison has its place there too: `upstream`, what was `varied`, and `x`, to what. The rounds of one
    pair stand together.
    """
    places = {
        id(each): {"upstream": comparison.upstream, "varied": varied, "x": point.x}
        for comparison in comparisons
        for varied in VARIED
        for point in getattr(comparison, varied)
        for pair in point.pairs
        for each in pair.values()
    }
    rows: list[dict[str, Any]] = [{"facts": facts}]
    rows += [{"comparison": _without(msgspec.structs.asdict(each), VARIED)} for each in comparisons]
    rows += [{"verdict": each} for each in verdicts]
    rows += [{"aside": each} for each in asides]
    rows += [{"round": places.get(id(each), {}) | msgspec.structs.asdict(each)} for each in rounds]
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(_short(msgspec.to_builtins(row))) + b"\n" for row in rows)


def _without(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _short(value: Any) -> Any:
    """A value without the digits that mean nothing, and without what is empty."""
    match value:
        case float():
            return float(f"{value:.{DIGITS}g}")
        case dict():
            return {key: _short(each) for key, each in value.items() if each != {}}
        case list():
            return [_short(each) for each in value]
        case _:
            return value
