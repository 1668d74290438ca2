"""Which divisions of the cores are measured, and which is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_embedder.model.dividing.division import Division, best, candidates, fastest


def test_two_cores_have_three_divisions() -> None:
    assert [str(each) for each in candidates(2)] == ["2x2", "1x2", "2x1"]


@given(st.integers(1, 256))
def test_divisions_leave_no_core_idle_and_are_few(cores: int) -> None:
    found = candidates(cores)
    assert len(set(found)) == len(found) <= 21
    assert all(each.workers * each.threads >= cores and each.threads <= cores for each in found)


@pytest.mark.parametrize(
    ("division", "cores", "threads"),
    [
        (Division(2, 2), 2, 1),
        (Division(2, 4), 4, 2),
        (Division(1, 2), 2, 2),
        (Division(2, 1), 2, 1),
        (Division(2, 2), 8, 2),
        (Division(3, 2), 2, 1),
        (Division(1, 4), 2, 4),
    ],
)
def test_passes_beside_each_other_have_their_part_of_the_cores(division: Division, cores: int, threads: int) -> None:
    assert division.threads_beside(cores) == threads


def test_a_division_is_taken_for_what_it_gains_on_all_kinds_of_calls() -> None:
    shared, wide, narrow = Division(2, 2), Division(1, 2), Division(2, 1)
    measured = {
        shared: {"alone": 3.0, "short": 70.0, "mixed": 80.0},
        wide: {"alone": 2.0, "short": 75.0, "mixed": 80.0},
        narrow: {"alone": 4.0, "short": 60.0, "mixed": 70.0},
    }
    assert best(measured) == wide


@pytest.mark.parametrize(("factor", "taken"), [(0.97, Division(2, 2)), (0.9, Division(2, 1))])
def test_a_difference_that_may_be_chance_changes_nothing(factor: float, taken: Division) -> None:
    times = {"alone": 3.0, "short": 70.0, "mixed": 80.0}
    measured = {Division(2, 2): times, Division(2, 1): {kind: time * factor for kind, time in times.items()}}
    assert best(measured) == taken


def test_a_disturbed_round_does_not_count() -> None:
    rounds = [{"alone": 3.0, "short": 700.0}, {"alone": 30.0, "short": 70.0}]
    assert fastest(rounds) == {"alone": 3.0, "short": 70.0}
