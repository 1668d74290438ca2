"""Who else uses the machine."""

import os
from pathlib import Path

from autobatch_bench.systems.neighbours import ProcessTicks, all_processes, busiest, cores_by_name


def test_the_busiest_are_named_and_who_does_little_is_not() -> None:
    hertz = os.sysconf("SC_CLK_TCK")
    before = {pid: ProcessTicks(f"p{pid}", 1000) for pid in range(6)}
    after = {
        pid: ProcessTicks(f"p{pid}", 1000 + used) for pid, used in enumerate((0, hertz, 2 * hertz, 1, hertz, hertz))
    }
    after[9] = ProcessTicks("new", 10**6)  # what it used before the first look is unknown
    assert ["p2 (pid 2): 2.0 cores", "p1 (pid 1): 1.0 cores", "p4 (pid 4): 1.0 cores"] == busiest(before, after, 1.0)


def test_processes_of_one_name_are_one_neighbour() -> None:
    second = os.sysconf("SC_CLK_TCK")
    before = {pid: ProcessTicks("pytest" if pid < 3 else "sh", 7) for pid in range(5)}
    after = {pid: ProcessTicks(each.name, 7 + (second if pid < 3 else 0)) for pid, each in before.items()}
    assert {"pytest": 1.5} == cores_by_name(before, after, 2.0)


def test_processes_are_read_with_names_of_any_form(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a) b (c)) S " + " ".join(str(place) for place in range(1, 30)))
    (tmp_path / "8").mkdir()  # it has ended
    assert {7: ProcessTicks("a) b (c)", 11 + 12)} == all_processes(tmp_path)
    assert {} == all_processes(tmp_path, but=[7])
