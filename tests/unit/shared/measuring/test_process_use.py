"""What the kernel says of a process's wait for a core."""

from pathlib import Path

from autobatch_shared.measuring.process_use import threads_waited_s, waited_s


def test_the_wait_for_a_core_is_the_second_figure_in_seconds(tmp_path: Path) -> None:
    file = tmp_path / "schedstat"
    file.write_text("15464292 2500000000 8\n")
    assert 2.5 == waited_s(file)


def test_a_system_that_does_not_say_has_no_wait(tmp_path: Path) -> None:
    assert 0.0 == waited_s(tmp_path / "schedstat")


def test_the_waits_of_all_threads_are_added_up(tmp_path: Path) -> None:
    for thread, waited_ns in (("7", 1_500_000_000), ("8", 500_000_000)):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "schedstat").write_text(f"15464292 {waited_ns} 8\n")
    (tmp_path / "9").mkdir()  # it has just ended
    assert 2.0 == threads_waited_s(tmp_path)
    assert 0.0 == threads_waited_s(tmp_path / "nowhere")
