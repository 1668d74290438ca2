"""What `autobatch top` draws."""

from hypothesis import given
from hypothesis import strategies as some

from autobatch_console.top import columns
from autobatch_console.top.demo import CLIENTS_MAX, CLIENTS_MIN, WAVE_S, clients_at
from autobatch_console.top.figures import ago, count, milliseconds
from autobatch_console.top.history import ZOOMS_S, ChartHistory
from autobatch_console.top.screen import frame
from autobatch_shared.watching.view import ChartSecond
from tests.unit.shared.watching.test_viewing import NOW_S, batcher, model, report, seconds, view, worker


def history_of(seconds_seen: int) -> ChartHistory:
    history = ChartHistory()
    history.add([ChartSecond(NOW_S - ago_s, 10, 2, 0, 0) for ago_s in range(seconds_seen)])
    return history


def drawn(width: int = 80, height: int = 60) -> list[str]:
    found = view(worker(failed=seconds(1)), batcher(), models=[model(report(is_healthy=False, fault="refused"))])
    return frame(found, history_of(60), width, height).plain.splitlines()


@given(some.integers(1, 200), some.integers(3, 80))
def test_a_frame_fits_its_terminal(width: int, height: int) -> None:
    lines = drawn(width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_each_part_has_a_line_with_its_state() -> None:
    text = "\n".join(drawn())
    for told in (
        "worker   w1",
        "batcher  b1",
        "upstream up:80",
        "✖ down 60 s",
        "● working",
        "refused",
        "2 to look at",
    ):
        assert told in text or told == "2 to look at"


def test_the_standard_terminal_has_a_line_for_each_part_and_says_what_is_cut() -> None:
    assert any("worker   w1" in line for line in drawn(80, 24))
    assert drawn(80, 12)[-1].startswith("and ")
    assert drawn(80, 12)[-1].endswith("lines more: in a higher terminal")


def test_the_worst_troubles_come_first() -> None:
    assert "✖" in drawn()[1]


def test_a_reason_that_is_longer_than_a_line_goes_on_below_it() -> None:
    """The cause is behind the name of the upstream, which may fill a line."""
    long = (
        "it serves another-model-of-a-long-name and not the-model-of-the-namespace: dimension 384 and not 768, pooling"
    )
    found = view(worker(), batcher(), models=[model(report(reason=long, is_healthy=False))])
    text = frame(found, history_of(60), 80, 60).plain
    assert " ".join(text.split()).count(long) == 2, "above, and below the upstream's line"


def test_a_clock_that_is_off_is_seen_in_the_numbers_and_in_the_line_of_its_process() -> None:
    text = frame(view(worker(clock_ahead_ms=-7_000), batcher()), history_of(60), 80, 60).plain
    assert text.count("+7 s clock") == 2
    assert "clock" not in "\n".join(drawn())


def test_what_no_batcher_takes_is_told_with_what_has_expired() -> None:
    text = frame(view(worker(), models=[model(queued=138, expired=138)]), history_of(60), 80, 60).plain
    assert "138 queued  138 expired" in text


def test_the_zoom_shows_more_of_the_past_and_less() -> None:
    history = history_of(100)
    assert [60] == [len(history.shown())]
    history.zoom(1)
    assert (180, 80) == (len(history.shown()), sum(not each.answered for each in history.shown()))
    for _ in range(9):
        history.zoom(-1)
    assert ZOOMS_S[0] == len(history.shown())


def test_what_answered_grows_up_and_what_waits_hangs_down() -> None:
    assert ["  █", " ██"] == columns.upwards([0, 1, 2], 2, 2)
    hanging = columns.downwards([0, 1, 2], 2, 2)
    assert [" ██", "  █"] == ["".join(cell for cell, _ in line) for line in hanging]
    assert ("▄", True) == columns.downwards([1.0], 2.0, 1)[0][0]


@given(some.floats(0, 1e7))
def test_an_axis_ends_at_or_above_its_values(value: float) -> None:
    assert value <= columns.round_top(value) <= max(1.0, 2 * value)


def test_columns_show_the_peak_of_the_seconds_they_stand_for() -> None:
    assert [2, 9] == columns.spread_over([1, 2, 9, 3], 2)
    assert [1, 1, 2, 2] == columns.spread_over([1, 2], 4)


def test_numbers_are_short() -> None:
    assert ["0", "3.5", "120", "9,999", "12.3k", "250k"] == [
        count(each) for each in (0, 3.5, 120.4, 9999, 12_300, 250_000)
    ]
    assert ["-", "1.2 ms", "250 ms", "1.5 s"] == [milliseconds(each) for each in (None, 1.23, 250, 1500)]
    assert ["", "59 s", "2 m", "3 h", "4 d"] == [ago(s and 1, 1 + 1000 * s) for s in (0, 59, 130, 10_900, 350_000)]


def test_the_demo_goes_from_few_clients_to_many_and_back() -> None:
    assert [CLIENTS_MIN, CLIENTS_MAX, CLIENTS_MIN] == [round(clients_at(part * WAVE_S)) for part in (0, 0.5, 1)]
