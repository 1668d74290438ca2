"""What the kernel says of a process's wait for a core."""

from pathlib import Path

from autobatch_shared.measuring.process_use import waited_s


def test_the_wait_for_a_core_is_the_second_figure_in_seconds(tmp_path: Path) -> None:
    file = tmp_path / "schedstat"
    file.write_text("15464292 2500000000 8\n")
    assert 2.5 == waited_s(file)


def test_a_system_that_does_not_say_has_no_wait(tmp_path: Path) -> None:
    assert 0.0 == waited_s(tmp_path / "schedstat")
