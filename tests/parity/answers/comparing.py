"""Whether two answers are equal: bodies byte for byte except for floats, headers except for measured values.

A float is compared by value. The text around the floats (keys, their order, integers, texts with their escapes, white
space) is compared as bytes. A float's spelling is checked too: TEI writes the shortest text of a float32.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.parity.answers.asking import SeenAnswer

TOLERANCE = 1e-5
FLOAT_DIGITS_MAX = 9  # of the shortest text of a float32

#: Base64 vectors first, then other texts, so that no number inside a text is taken for a float.
_TOKEN = re.compile(
    rb'(?P<vector>"embedding":"(?P<base64>[A-Za-z0-9+/]*=*)")'
    rb'|"(?:[^"\\]|\\.)*"'
    rb"|(?P<float>-?\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))"
)
_ODD_EXPONENT = re.compile(rb"E|e\+|e-?0")

#: Headers that are not compared, and why.
IGNORED = {
    "date": "the time of the answer",
    "connection": "between neighbours only",
    "keep-alive": "between neighbours only",
}
#: Headers that only the proxy's answer has, and why.
ADDED = {
    "x-request-id": "identifies the request in the logs",
    "server-timing": "where the time went; browsers show it",
    "x-batch-size": "how many inputs the upstream call had",
    "x-model": "the model that computed it",
    "x-model-fingerprint": "changes with the model",
}
#: Times of each server's own; both must have them, as whole milliseconds.
MEASURED = ("x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time")
#: Headers of one upstream call: meaningless for a request whose inputs were sent in several calls, or with others.
OF_A_CALL = ("x-compute-tokens", "x-tokenization-time", "x-queue-time", "x-inference-time")


@dataclass(frozen=True, slots=True)
class Body:
    """A body taken apart.

    Attributes:
        frame: All except the floats.
        floats: Their values, in order.
        spelling: What is odd about their texts.
    """

    frame: bytes
    floats: tuple[float, ...]
    spelling: frozenset[str]


def take_apart(answer: SeenAnswer) -> Body:
    """Return the floats of a JSON body and the text around them; a body of another type is all frame."""
    if answer.header("content-type") != "application/json":
        return Body(answer.body, (), frozenset())
    floats: list[float] = []
    spelling: set[str] = set()

    def leave_out(match: re.Match[bytes]) -> bytes:
        if match["vector"] is not None:
            try:
                raw = base64.b64decode(match["base64"], validate=True)
                values = struct.unpack(f"<{len(raw) // 4}f", raw)
            except (binascii.Error, struct.error):
                return match[0]
            floats.extend(values)
            return b'"embedding":"<%d floats>"' % len(values)
        if match["float"] is not None:
            spelling.update(_oddities(match["float"]))
            floats.append(float(match["float"]))
            return b"<float>"
        return match[0]

    return Body(_TOKEN.sub(leave_out, answer.body), tuple(floats), frozenset(spelling))


def _oddities(text: bytes) -> Iterator[str]:
    mantissa = re.split(rb"[eE]", text)[0].replace(b".", b"").lstrip(b"-0")
    if len(mantissa) > FLOAT_DIGITS_MAX:
        yield "a float with more digits than a float32 has"
    if _ODD_EXPONENT.search(text):
        yield "an exponent with a plus, a zero or a capital"


def compare(
    expected: SeenAnswer,
    got: SeenAnswer,
    tolerance: float = TOLERANCE,
    unlike: Sequence[str] = (),
    lacking: Sequence[str] = (),
) -> list[str]:
    """Return what is wrong with an answer; empty if nothing is.

    Args:
        expected: The upstream's.
        got: The proxy's.
        tolerance: The largest difference of two floats.
        unlike: Headers that are not compared either.
        lacking: Headers that may be missing in the proxy's answer.
    """
    faults = []
    if expected.status != got.status:
        faults.append(f"status {got.status}, not {expected.status}")
    faults += compare_bodies(expected, got, tolerance)
    absent = [name for name in lacking if got.header(name) is None]
    faults += compare_headers(expected, got, [*unlike, *absent])
    return faults


def compare_bodies(expected: SeenAnswer, got: SeenAnswer, tolerance: float) -> list[str]:
    """Return what is wrong with a body."""
    if expected.body == got.body:
        return []
    one, other = take_apart(expected), take_apart(got)
    faults = [f"body has {oddity}" for oddity in sorted(other.spelling - one.spelling)]
    if one.frame != other.frame or len(one.floats) != len(other.floats):
        return [*faults, f"body {_apart(other.frame, one.frame)}"]
    distance = max(map(_distance, one.floats, other.floats), default=0.0)
    if distance > tolerance:
        faults.append(f"floats differ by {distance:.2e}")
    return faults


def _distance(one: float, other: float) -> float:
    """The difference of two floats; NaN equals only NaN."""
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return abs(one - other) if one != other else 0.0


def _apart(got: bytes, expected: bytes) -> str:
    at = next(
        (at for at, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), min(len(got), len(expected))
    )
    begin = max(0, at - 30)
    return f"{got[begin : at + 200]!r}, not {expected[begin : at + 200]!r}"


def compare_headers(expected: SeenAnswer, got: SeenAnswer, unlike: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with the headers."""
    hidden = {*IGNORED, *unlike}
    lengths_may_differ = len(expected.body) != len(got.body) and bool(take_apart(expected).floats)
    one = sorted((name, value) for name, value in expected.headers if name not in hidden)
    other = sorted((name, value) for name, value in got.headers if name not in hidden and name not in ADDED)
    faults = []
    for answer, who in ((expected, "upstream"), (got, "proxy")):
        length = answer.header("content-length")
        if answer.body and length is not None and int(length) != len(answer.body):
            faults.append(f"content-length of the {who} is {length}, of {len(answer.body)} bytes")
        faults += [
            f"{name} of the {who} is {value!r}"
            for name, value in answer.headers
            if name in MEASURED and not value.isdigit()
        ]
    names = ([name for name, _ in one], [name for name, _ in other])
    if names[0] != names[1]:
        lacking, more = set(names[0]) - set(names[1]), set(names[1]) - set(names[0])
        faults.append(f"headers: lacks {sorted(lacking)}, has {sorted(more)} besides")
    by_value = {name for name, _ in one} - set(MEASURED) - ({"content-length"} if lengths_may_differ else set())
    for name in sorted(by_value & set(names[1])):
        values = [[value for key, value in side if key == name] for side in (other, one)]
        if values[0] != values[1]:
            faults.append(f"{name}: {values[0]}, not {values[1]}")
    return faults
