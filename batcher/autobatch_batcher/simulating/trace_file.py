"""The requests of a trace file: JSON lines or CSV of arrival_s, length and, where there are any, bulk.

    {"arrival_s": 0.012, "length": 110}            arrival_s,length,bulk
    {"arrival_s": 0.020, "length": [30, 95]}       0.012,110,
    {"arrival_s": 0.031, "length": 80, "bulk": 1}  0.031,80,1

The clock may begin anywhere; the order is that of the times. A list of lengths is a request of several inputs.
"""

import csv
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

import msgspec

from autobatch_batcher.simulating.clients import SimulatedRequest


class TraceError(ValueError):
    """A trace cannot be read; the text says where and why."""


class _Line(msgspec.Struct):
    """A request of the trace."""

    arrival_s: float
    length: int | list[int]
    bulk: bool = False

    @property
    def lengths(self) -> tuple[int, ...]:
        return (self.length,) if isinstance(self.length, int) else tuple(self.length)


def read_trace(path: Path) -> list[tuple[float, SimulatedRequest]]:
    """Return the requests, each with its arrival in seconds from the first one's, in order.

    Raises:
        TraceError: The file has something else, or nothing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise TraceError(f"{path}: {exc}") from exc
    lines = list(_json_lines(path, text) if text.lstrip().startswith("{") else _csv_lines(path, text))
    if not lines:
        raise TraceError(f"{path}: has no request")
    lines.sort(key=lambda line: line.arrival_s)
    began_s = lines[0].arrival_s
    return [(line.arrival_s - began_s, SimulatedRequest(line.lengths, is_bulk=line.bulk)) for line in lines]


def _json_lines(path: Path, text: str) -> Iterator[_Line]:
    decode = msgspec.json.Decoder(_Line, strict=False).decode
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield _checked(decode(line))
            except ValueError as exc:
                raise TraceError(f"{path}, line {number}: {exc}") from exc


def _csv_lines(path: Path, text: str) -> Iterator[_Line]:
    rows = csv.DictReader(text.splitlines())
    if not {"arrival_s", "length"} <= set(rows.fieldnames or ()):
        raise TraceError(f"{path}: the first line must name the columns arrival_s and length")
    for row in rows:
        try:
            is_bulk = row.get("bulk") in ("1", "true")
            yield _checked(_Line(float(row["arrival_s"]), int(row["length"]), is_bulk))
        except (TypeError, ValueError) as exc:
            raise TraceError(f"{path}, line {rows.line_num}: {exc}") from exc


def _checked(line: _Line) -> _Line:
    if not isfinite(line.arrival_s):
        raise ValueError("arrival_s must be a time")
    if not line.lengths or min(line.lengths) < 1:
        raise ValueError("length must be at least 1")
    return line
