"""A short run of schedules; `make simulate` plays many more. And that the simulation finds what it is made to find."""

import time

import pytest

from autobatch_batcher.calling import caller
from autobatch_batcher.calling.calls import part
from tests.simulation.defects import DEFECTS, Defect, put_back
from tests.simulation.faults import KINDS
from tests.simulation.schedule import play
from tests.simulation.timeline import lines_of

SHORT_RUN = range(100)
CHUNK = 25

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("first", SHORT_RUN[::CHUNK])
def test_nothing_is_found_in_a_short_run(first: int) -> None:
    found = {seed: judged.findings for seed in range(first, first + CHUNK) if (judged := play(seed)).findings}
    assert found == {}


def test_without_faults_every_request_is_right() -> None:
    outcomes = [play(seed, faults_max=0).outcomes for seed in range(10)]
    assert {outcome for each in outcomes for outcome in each} == {"right"}


def test_a_seed_gives_the_same_run_each_time() -> None:
    first, again = play(7), play(7)
    assert (first.digest, lines_of(first.trace)) == (again.digest, lines_of(again.trace))


def test_a_run_does_not_depend_on_what_its_process_did_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batcher that uses a whole core lets another one call, too."""
    digests = [play(seed).digest for seed in range(4)]
    monkeypatch.setattr(time, "process_time", lambda: 1e6)
    assert [play(seed).digest for seed in range(4)] == digests


def test_seeds_differ() -> None:
    assert len({play(seed).digest for seed in range(5)}) == 5


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_that_is_put_back_is_found(defect: Defect) -> None:
    kinds = tuple(kind for kind in KINDS if kind.name in defect.faults)
    assert {kind.name for kind in kinds} == set(defect.faults)
    with put_back(defect):
        assert any(play(seed, kinds).findings for seed in range(defect.seeds))


def test_an_answer_of_another_request_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are handed out in the wrong order, as a mistake in the books of a batch would."""
    monkeypatch.setattr(caller, "part", lambda rows, places: part(rows[::-1], places))
    assert any("WRONG" in finding for seed in range(5) for finding in play(seed, faults_max=0).findings)
