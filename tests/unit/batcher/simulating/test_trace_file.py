"""The requests of a trace file."""

from pathlib import Path

import pytest

from autobatch_batcher.simulating.clients import SimulatedRequest
from autobatch_batcher.simulating.trace_file import TraceError, read_trace


def traced(folder: Path, text: str) -> list[tuple[float, SimulatedRequest]]:
    file = folder / "trace"
    file.write_text(text, encoding="utf-8")
    return [(round(at_s, 6), asked) for at_s, asked in read_trace(file)]


def test_json_lines_are_read_in_the_order_of_their_times(tmp_path: Path) -> None:
    text = '{"arrival_s": 100.5, "length": [3, 4], "bulk": true}\n\n{"arrival_s": 100.25, "length": 7, "from": "another"}\n'
    assert [(0.0, SimulatedRequest((7,))), (0.25, SimulatedRequest((3, 4), is_bulk=True))] == traced(tmp_path, text)


def test_csv_is_read(tmp_path: Path) -> None:
    text = "client,arrival_s,length,bulk\nx,0.5,7,\ny,1.5,8,1\n"
    assert [(0.0, SimulatedRequest((7,))), (1.0, SimulatedRequest((8,), is_bulk=True))] == traced(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no request|must name the columns"),
        ("arrival_s,length\n", "has no request"),
        ("time,length\n1,2\n", "must name the columns arrival_s and length"),
        ("arrival_s,length\n1,2\n1,\n", "line 3: invalid literal"),
        ("arrival_s,length\n1,0\n", "line 2: length must be at least 1"),
        ('{"arrival_s": 1, "length": 2}\n{"arrival_s": 1}\n', "line 2: Object missing required field `length`"),
        ('{"arrival_s": 1, "length": []}', "line 1: length must be at least 1"),
        ("arrival_s,length\nnan,1\n", "line 2: arrival_s must be a time"),
    ],
)
def test_a_trace_that_is_none_says_where(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TraceError, match=told):
        traced(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        read_trace(tmp_path / "none")
