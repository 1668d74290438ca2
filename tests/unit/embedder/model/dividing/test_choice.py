"""When the divisions of the cores are measured, and what is remembered."""

from pathlib import Path

import pytest

from autobatch_embedder.model.dividing.choice import DISTURBED_STARTS_MAX, ChosenDivision, choose, file_of
from autobatch_embedder.model.dividing.division import WAITED_MAX, Division, Measurement, candidates


class Stopwatch:
    """Says that one division is the fastest.

    Attributes:
        measured: What was measured, in order.
    """

    def __init__(self, fastest: Division | None = None, waited: float = 0.0) -> None:
        self.fastest = fastest or Division(2, 1)
        self.waited = waited
        self.measured: list[Division] = []

    def __call__(self, division: Division) -> Measurement:
        self.measured.append(division)
        return Measurement({"alone": (1.0 if division == self.fastest else 2.0) * (1 + self.waited)}, self.waited)


def test_a_first_start_measures_every_division_and_the_next_none(tmp_path: Path) -> None:
    file = file_of(tmp_path / "new folder", cores=2)
    first, second = Stopwatch(), Stopwatch()

    assert choose(None, None, 2, file, first) == ChosenDivision(Division(2, 1), "measured")
    assert set(first.measured) == set(candidates(2))

    assert choose(None, None, 2, file, second) == ChosenDivision(Division(2, 1), "remembered")
    assert second.measured == []


def test_what_was_measured_beside_other_programs_is_measured_again_at_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    assert choose(None, None, 2, file, Stopwatch(Division(1, 2), waited=0.4)).reason == "measured beside others"

    assert choose(None, None, 2, file, Stopwatch()) == ChosenDivision(Division(2, 1), "measured")
    assert choose(None, None, 2, file, Stopwatch()) == ChosenDivision(Division(2, 1), "remembered")


def test_where_others_are_always_busy_the_fastest_calls_of_some_starts_decide(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    least_disturbed = [Stopwatch(waited=0.2), *(Stopwatch(Division(1, 2), waited=2.0),) * (DISTURBED_STARTS_MAX - 1)]
    chosen = [choose(None, None, 2, file, each) for each in least_disturbed]

    assert chosen == [ChosenDivision(Division(2, 1), "measured beside others")] * DISTURBED_STARTS_MAX
    assert choose(None, None, 2, file, Stopwatch()) == ChosenDivision(Division(2, 1), "remembered")


def test_a_round_that_nothing_disturbed_is_enough(tmp_path: Path) -> None:
    class HalfBusy(Stopwatch):
        def __call__(self, division: Division) -> Measurement:
            self.waited = 2 * WAITED_MAX if division not in self.measured else 0.0
            return super().__call__(division)

    assert choose(None, None, 2, tmp_path / "kept", HalfBusy()) == ChosenDivision(Division(2, 1), "measured")


@pytest.mark.parametrize(
    ("workers", "threads", "expected"),
    [(3, None, Division(3, 2)), (None, 1, Division(1, 1)), (4, 1, Division(4, 1))],
)
def test_a_setting_is_taken_without_a_measurement(
    tmp_path: Path, workers: int | None, threads: int | None, expected: Division
) -> None:
    stopwatch = Stopwatch()
    assert choose(workers, threads, 2, tmp_path / "kept", stopwatch) == ChosenDivision(expected, "set")
    assert stopwatch.measured == []


def test_one_core_leaves_nothing_to_choose(tmp_path: Path) -> None:
    stopwatch = Stopwatch()
    assert choose(None, None, 1, tmp_path / "kept", stopwatch) == ChosenDivision(Division(1, 1), "one core")
    assert stopwatch.measured == []


def test_every_fact_that_a_measurement_depends_on_has_a_file_of_its_own(tmp_path: Path) -> None:
    facts = {"graph": "a.onnx", "cores": 2, "cpu": "one", "onnxruntime": "1.31.1"}
    changed = [facts | {name: "another"} for name in facts]
    assert len({file_of(tmp_path, **each) for each in (facts, *changed)}) == 1 + len(facts)
    assert file_of(tmp_path, **facts) == file_of(tmp_path, **dict(reversed(facts.items())))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"workers": 2}', b'{"workers": 64, "threads": 64}', b'{"workers": []', b'{"times_ms": {"2x2": 1}}'],
)
def test_a_file_that_says_nothing_of_use_is_written_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kept"
    file.write_bytes(content)
    assert choose(None, None, 2, file, Stopwatch()).reason == "measured"
    assert choose(None, None, 2, file, Stopwatch()).reason == "remembered"


def test_a_choice_that_cannot_be_kept_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert choose(None, None, 2, tmp_path / "file" / "kept", Stopwatch()) == ChosenDivision(Division(2, 1), "measured")
    assert "cores_choice_not_kept" in caplog.messages


def test_the_log_says_what_was_chosen_and_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    choose(None, None, 2, tmp_path / "kept", Stopwatch())
    (record,) = (record for record in caplog.records if record.message == "cores_divided")
    said = {name: getattr(record, name) for name in ("cores", "workers", "threads", "chosen", "times_ms")}
    times = {"2x2": {"alone": 2.0}, "1x2": {"alone": 2.0}, "2x1": {"alone": 1.0}}
    assert said == {"cores": 2, "workers": 2, "threads": 1, "chosen": "measured", "times_ms": times}
