"""What all cores of the machine did."""

from pathlib import Path

import pytest

from autobatch_shared.measuring.machine_use import CoreTicks, read_core_ticks


def test_idle_is_what_waited_for_work_or_for_a_disk(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 1 20 60 5 1 2 1 4 4\ncpu0 10 1 20 60 5 1 2 1 4 4\n")
    assert CoreTicks(65, 100) == read_core_ticks(stat)
    assert read_core_ticks(tmp_path / "none") is None


def test_a_share_is_of_the_time_between_two_looks() -> None:
    assert pytest.approx(0.25) == CoreTicks(90, 200).idle_share_since(CoreTicks(65, 100))
    assert 0 == CoreTicks(65, 100).idle_share_since(CoreTicks(65, 100))
