"""Targets compared with figures."""

import pytest

from autobatch_bench.comparing.promises import GROUPS, TARGETS, Target, asides, evaluate
from autobatch_bench.comparing.rounds import Spread

AT_LEAST = Target("T1.rate", "rate", 0.9, is_most=False, unit="x")
AT_MOST = Target("T2.lone", "p50", 1.5, is_most=True, unit="ms")


def figure(median: float) -> Spread:
    return Spread(median, median - 1, median + 1)


@pytest.mark.parametrize(
    ("target", "median", "text"),
    [
        (AT_LEAST, 0.9, "ok"),
        (AT_LEAST, 0.89, "missed"),
        (AT_MOST, 1.5, "ok"),
        (AT_MOST, 1.51, "missed"),
    ],
)
def test_the_median_is_held_against_the_bound(target: Target, median: float, text: str) -> None:
    (verdict,) = evaluate({target.key: figure(median)}, [target.group], [target])
    assert verdict.text == text


def test_what_could_not_be_measured_is_said_and_is_neither_ok_nor_missed() -> None:
    (verdict,) = evaluate({"T1.rate": "there is no /proc"}, ["T1"], [AT_LEAST])
    assert (verdict.text, verdict.note, verdict.figure) == ("not measured", "there is no /proc", None)
    (verdict,) = evaluate({}, ["T1"], [AT_LEAST])
    assert (verdict.text, verdict.note) == ("not measured", "was not run")


def test_only_the_groups_that_were_asked_for_are_listed() -> None:
    assert [verdict.target for verdict in evaluate({}, ["T2"], [AT_LEAST, AT_MOST])] == [AT_MOST]


def test_what_has_no_bound_is_said_where_it_was_measured() -> None:
    assert asides({"T1.rate": figure(1)}) == []
    assert asides({"T2.bare": "900 inputs/s"}) == [
        "T2 short, the bare model's best at a fixed batch size: 900 inputs/s"
    ]


def test_every_target_has_a_group_and_a_key_of_its_own() -> None:
    assert {target.group for target in TARGETS} == set(GROUPS)
    assert len({target.key for target in TARGETS}) == len(TARGETS)
