"""The command `autobatch simulate`."""

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from autobatch_batcher.metrics import Metrics, ProcessMetrics, render
from autobatch_batcher.simulating.__main__ import main
from autobatch_batcher.simulating.law import SimulatedLaw, law_of
from autobatch_batcher.tuning.cost import FLAT_DEFAULT_S, PADDING_DEFAULT
from autobatch_batcher.tuning.tuner import Tuner
from tests.support.paths import ROOT

UPSTREAM = ("--upstream", "padded:fixed_ms=5,per_unit_us=10")


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # settings are read from there
    rows = [f"{number / 100},{50 + number % 7}" for number in range(200)]
    Path("trace.csv").write_text("\n".join(["arrival_s,length", *rows]))
    return "trace.csv"


def rows_of(out: str) -> dict[str, list[str]]:
    """Return the columns of each policy."""
    _, _, *lines = out.splitlines()
    return {line[:20].strip(): line[20:].split() for line in lines}


def test_the_batchers_are_shown_beside_fixed_policies(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main([*UPSTREAM, "--trace", trace, "--max-batch-size", "16", "--max-concurrent-batches", "3"])
    out = capsys.readouterr().out
    assert out.startswith("200 requests in 2.0 s\n")
    rows = rows_of(out)
    assert ["auto", "fifo 1 x 3", "fifo 16 x 3", "sorted 16 x 3"] == list(rows)
    for columns in rows.values():
        assert math.isclose(100, float(columns[0]), rel_tol=0.03)
        assert "0" == columns[-1]


def test_only_the_policies_that_are_asked_for_are_run(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*UPSTREAM, "--trace", trace, "--policy", "fifo 8 x 1, 5 ms", "--policy", "auto", "--skip-s", "1"]
    assert 0 == main(argv)
    assert ["fifo 8 x 1, 5 ms", "auto"] == list(rows_of(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--upstream", "squared"), "must begin with padded or unpadded"),
        ((*UPSTREAM, "--policy", "lifo"), "must be like"),
        ((*UPSTREAM, "--skip-s", "60"), "--skip-s: the trace has 2.0 s"),
        ((*UPSTREAM, "--skip-s", "-1"), "--skip-s: must be at least 0"),
        ((*UPSTREAM, "--skip-s", "nan"), "--skip-s: must be at least 0"),
        ((*UPSTREAM, "--batchers", "0"), "--batchers: must be a whole number, and at least 1"),
    ],
)
def test_a_wrong_argument_is_told_and_ends_with_2(
    trace: str, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], told: str
) -> None:
    try:
        status = main([*argv, "--trace", trace])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert 2 == status
    assert told in capsys.readouterr().err


def test_requests_that_all_arrive_at_once_are_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of no time there is no goodput, and nothing to skip: what is missing is another request."""
    path = tmp_path / "one.csv"
    path.write_text("arrival_s,length\n1,5\n", encoding="utf-8")

    assert 2 == main([*UPSTREAM, "--trace", str(path)])

    error = capsys.readouterr().err
    assert f"{path}: all requests arrive at the same time" in error
    assert "--skip-s" not in error


def test_a_setting_that_does_not_exist_is_a_fault(trace: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*UPSTREAM, "--trace", trace, "--max-bach-size", "3"])


@pytest.mark.skipif(shutil.which("awk") is None, reason="no awk")
def test_the_documented_command_makes_the_law_of_what_a_batcher_has_learnt() -> None:
    found = re.search(r"awk '(.*?)'\n```", (ROOT / "docs" / "simulate.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    metrics = Metrics()
    metrics.note_tuning("http://upstream", Tuner(2))
    text = subprocess.run(
        ["awk", found[1]], input=render([("", metrics)], ProcessMetrics()), capture_output=True, check=True
    ).stdout.decode()
    expected = SimulatedLaw(
        is_padded=True, fixed_ms=FLAT_DEFAULT_S * 1e3, per_unit_us=FLAT_DEFAULT_S / PADDING_DEFAULT * 1e6
    )
    assert expected == law_of(text.strip())
