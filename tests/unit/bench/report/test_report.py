"""The report: one self-contained folder with everything that was measured, of a version that can be checked out again."""

import re
import subprocess
from pathlib import Path

import msgspec
import orjson
import pytest
import typer

from autobatch_bench.commands import report
from autobatch_bench.comparing.promises import TARGETS, TargetResult
from autobatch_bench.comparing.rounds import Pair, Point, Spread, neighbours, summed_up
from autobatch_bench.comparing.sides import Comparison
from autobatch_bench.load.outcome import LoadOutcome
from autobatch_bench.report import facts, gains, grids, page, results


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
ROUNDS = [each for point in POINTS for both in point.pairs for each in both.values()]
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


def test_any_number_of_sides_stand_beside_each_other() -> None:
    sides = ("direct", "proxy")
    table = grids.beside("x", POINTS, sides)
    assert [row[:3] for row in table.rows] == [
        ("1", "direct", "95"),
        ("", "proxy", "55"),
        ("64", "direct", "95"),
        ("", "proxy", "155"),
    ]
    assert table.rows[1][-2:] == ("0.58", "1.75")
    assert grids.cost("x", POINTS, sides).columns == ("in flight", "", "all", "worker")
    assert grids.frontiers("x", POINTS, sides).rows[1][0] == "proxy"


def test_the_upstreams_of_one_run_stand_side_by_side() -> None:
    table = gains.side_by_side([COMPARISON, msgspec.structs.replace(COMPARISON, upstream="other", lengths=[])])
    assert table.columns == ("case", "tei-queue", "other")
    assert ("64 in flight", "1.64 (1.50..1.78)", "1.64 (1.50..1.78)") in table.rows
    assert ("64 words", "1.64 (1.50..1.78)", "") in table.rows


def test_it_is_said_when_the_machine_was_busy_and_by_whom() -> None:
    quiet, busy = ROUNDS[0], msgspec.structs.replace(ROUNDS[1], others={"pytest": 1.2, "mypy": 0.4})
    busier = msgspec.structs.replace(busy, others={"pytest": 1.9})
    assert neighbours([quiet, quiet]) == ""
    said = "in 2 of 3 rounds others used this machine: pytest up to 1.9 cores, mypy up to 0.4 cores"
    assert neighbours([quiet, busy, busier]) == said


def test_cases_without_gain_are_named() -> None:
    lines = gains.without_gain(COMPARISON)
    assert "tei-queue, 1 in flight: 0.58 (0.50..0.67) of direct's requests a second" in lines
    assert not any("64 in flight" in line or "64 words" in line or "64 arrivals" in line for line in lines)


def test_what_is_gained_is_said_with_its_best_and_worst_case() -> None:
    assert "tei-queue, 64 in flight: 1.64 (1.50..1.78) of direct's requests a second" in gains.gains(COMPARISON)
    assert not any("1 in flight" in line for line in gains.gains(COMPARISON))
    assert "1.64 x the requests a second; tei-queue, " in gains.in_short(COMPARISON)
    assert gains.in_short(EMPTY) == ""


def test_a_report_begins_with_what_is_gained_and_links_each_section(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.write(tmp_path, {"command": "x"}, [EMPTY], [VERDICT], [], [])
    html = (tmp_path / "report.html").read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", html)

    assert titles[:2] == ["What is gained", "Where nothing is gained"]
    assert titles[-2:] == ["Internal targets", "How it was measured"]
    assert re.findall(r'<a href="#(.*?)">', html) == re.findall(r'<section id="(.*?)">', html)


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


def test_a_report_is_one_folder_that_fetches_nothing(tmp_path: Path) -> None:
    """Each picture is one file next to the page; there is no script, no style sheet and no link to another host."""
    pytest.importorskip("matplotlib")
    report.write(tmp_path, {"command": "autobatch bench report"}, [COMPARISON, EMPTY], [VERDICT], ["a note"], ROUNDS)

    html = (tmp_path / "report.html").read_text()
    assert "http:" not in html
    assert "https:" not in html
    assert "<script" not in html
    assert "<link" not in html
    pictures = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.glob("*/*.png"))
    assert sorted(re.findall('src="([^"]*)"', html)) == pictures
    assert len(pictures) == 8
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert {file.name for file in tmp_path.iterdir()} == {"tei-queue", "report.html", "results.jsonl"}


def test_every_round_is_one_line_with_its_place() -> None:
    written = results.lines({"command": "x"}, [COMPARISON], [VERDICT], ["a"], ROUNDS)
    rows = [orjson.loads(line) for line in written.splitlines()]
    assert [next(iter(row)) for row in rows] == ["facts", "comparison", "verdict", "aside"] + ["round"] * len(ROUNDS)
    assert rows[1]["comparison"]["batches"] == COMPARISON.batches
    assert not set(results.VARIED) & set(rows[1]["comparison"])
    assert rows[4]["round"]["upstream"] == "tei-queue"
    assert rows[4]["round"]["right"] == ROUNDS[0].right


def test_a_round_outside_of_comparisons_has_no_place() -> None:
    (line,) = results.lines({}, [], [], [], ROUNDS[:1]).splitlines()[1:]
    assert "upstream" not in orjson.loads(line)["round"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A file in a repository."""
    file = tmp_path / "measured.py"
    file.write_text("1")
    git = ("git", "-C", tmp_path, "-c", "user.name=t", "-c", "user.email=t@t")
    for argv in (("init", "-q"), ("add", "."), ("commit", "-q", "--message", "one")):
        subprocess.run((*git, *argv), check=True)
    return file


@pytest.mark.parametrize("name", ["measured.py", "new.py"])
def test_changed_and_new_files_are_no_commit(checkout: Path, name: str) -> None:
    clean = facts.commit(checkout)
    checkout.with_name(name).write_text("2")
    dirty = facts.commit(checkout)

    assert (clean.is_dirty, dirty.is_dirty) == (False, True)
    assert clean.name == dirty.name == str(clean)
    assert "WITH CHANGES" in str(dirty)


def test_a_file_that_another_checkout_ignores_is_of_no_commit(checkout: Path) -> None:
    installed = checkout.with_name("installed.py")
    installed.write_text("")
    assert facts.commit(installed) == facts.Commit(facts.UNKNOWN, is_dirty=False)


def test_changed_files_are_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(facts, "commit", lambda: facts.Commit("abc123", is_dirty=True))
    with pytest.raises(typer.Exit) as ended:
        report.report(out=tmp_path / "report")

    assert ended.value.exit_code == 2
    assert "files differ from commit abc123" in capsys.readouterr().out
    assert not (tmp_path / "report").exists()
