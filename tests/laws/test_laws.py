"""Once the batchers have learnt, their defaults are not worse than the best fixed policy: 0.97 of its goodput, 1.1 of its p99."""

import json

import pytest

from autobatch_batcher.simulating.score import Score
from tests.laws.best_fixed import FOUND, best_of, checksums, found
from tests.laws.judging import judge
from tests.laws.not_reached import NOT_REACHED
from tests.laws.points import POINTS, LawPoint


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_the_defaults_are_not_worse_than_the_best_fixed_policy(point: LawPoint, request: pytest.FixtureRequest) -> None:
    """A point that is not reached has its reason, and fails the day it is reached."""
    if (reason := NOT_REACHED.get(point.name)) is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    result = judge(point)
    assert result.is_reached, f"goodput {result.goodput:.2f}, p99 {result.p99:.2f} of {result.best.policy}"


def test_the_best_fixed_policies_are_those_of_these_points() -> None:
    """After a change of the points, or of what fixed policies do: `make laws SEARCH=1`, with `WORDS=padded` for one law."""
    assert checksums() == json.loads(FOUND.read_text())["checksums"]
    assert {point.name for point in POINTS} == set(found())


def test_what_is_not_reached_is_a_point() -> None:
    assert set(NOT_REACHED) <= {point.name for point in POINTS}


def test_the_best_is_the_fastest_of_those_that_do_as_much() -> None:
    tried = [
        (name, Score(goodput, 0.0, p99_ms, 0.0, 0.0, 0))
        for name, goodput, p99_ms in (("slow", 100.0, 90.0), ("fast", 99.5, 30.0), ("less", 98.0, 10.0))
    ]
    assert "fast" == best_of(tried).policy
