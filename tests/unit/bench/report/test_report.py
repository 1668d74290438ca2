"""The report: one self-contained page with everything that was measured."""

from pathlib import Path

import orjson
import pytest

from autobatch_bench.commands import report
from autobatch_bench.comparing.promises import TARGETS, TargetResult
from autobatch_bench.comparing.rounds import Pair, Point, Spread, summed_up
from autobatch_bench.comparing.sides import Comparison
from autobatch_bench.load.outcome import LoadOutcome
from autobatch_bench.report import grids, page


def pair(direct: int, proxy: int) -> Pair:
    def one(count: int) -> LoadOutcome:
        return LoadOutcome(1.0, [(1 + number % 7) / count for number in range(count)])

    return {
        side: summed_up(side, "short", "2 in flight", one(count), {"worker": 0.001})
        for side, count in (("direct", direct), ("proxy", proxy))
    }


POINTS = [Point(1, [pair(100, 50), pair(90, 60)]), Point(64, [pair(100, 150), pair(90, 160)])]
COMPARISON = Comparison(
    upstream="tei-queue",
    workload="short",
    bursts=POINTS,
    concurrency=POINTS,
    rates=POINTS,
    lengths=POINTS,
    workloads=[Point("short", POINTS[0].pairs)],
    batches={"1.0": 3.0, "8.0": 5.0, "+Inf": 0.0},
    parts_ms={"queue": 1.0, "upstream": 2.0, "worker": 0.5},
    memory_mb={"VmRSS": {"worker": 50.0}, "VmHWM": {"worker": 60.0}},
)
VERDICT = TargetResult(TARGETS[0], Spread(0.95, 0.9, 1.0), "", "ok")
EMPTY = Comparison(
    upstream="x",
    workload="short",
    bursts=[],
    concurrency=[],
    rates=[],
    lengths=[],
    workloads=[],
    batches={},
    parts_ms={},
    memory_mb={},
)


def test_cases_without_gain_are_named() -> None:
    lines = grids.without_gain(COMPARISON)
    assert "tei-queue, 1 in flight: 0.58 (0.50..0.67) of direct's requests a second" in lines
    assert not any("64 in flight" in line or "64 words" in line or "64 arrivals" in line for line in lines)


def test_nothing_measured_is_no_table() -> None:
    assert grids.of_comparison(EMPTY) == {}


def test_every_table_has_a_cell_for_each_column() -> None:
    for grid in (*grids.of_comparison(COMPARISON).values(), grids.verdicts([VERDICT])):
        assert {len(row) for row in grid.rows} == {len(grid.columns)}


def test_text_is_escaped() -> None:
    section = page.Section("<b>")
    section.say(["a < b"])
    section.add(grids.batches("<i>", {"1.0": 1.0}))
    html = page.render("<u>", "&", {"<k>": "<v>"}, [section])
    for tag in ("<b>", "<i>", "<u>", "<k>", "<v>"):
        assert tag not in html


def test_a_report_is_one_page_that_fetches_nothing(tmp_path: Path) -> None:
    """Pictures are embedded; there is no script, no style sheet and no link."""
    pytest.importorskip("matplotlib")
    rounds = [each for point in POINTS for both in point.pairs for each in both.values()]
    report.write(tmp_path, {"command": "autobatch bench report"}, [COMPARISON, EMPTY], [VERDICT], ["a note"], rounds)

    html = (tmp_path / "report.html").read_text()
    assert "http:" not in html
    assert "https:" not in html
    assert "<script" not in html
    assert "<link" not in html
    pictures = sorted(file.name for file in tmp_path.glob("*.png"))
    assert html.count("data:image/png;base64,") == len(pictures) == 8
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    raw = orjson.loads((tmp_path / "results.json").read_bytes())
    assert len(raw["rounds"]) == len(rounds)
    assert raw["facts"] == {"command": "autobatch bench report"}
