"""The rate is what could be answered, not what was asked for."""

import pytest

from autobatch_batcher.upstreams.drain_rate import DrainRate


def test_without_a_backlog_nothing_is_known() -> None:
    rate = DrainRate()
    for second in range(10):
        rate.look(second, has_backlog=False)
        rate.answered_inputs += 7
    assert rate.per_s == 0.0


def test_a_backlog_at_both_ends_gives_the_rate() -> None:
    rate = DrainRate()
    rate.look(0.0, has_backlog=True)
    rate.answered_inputs += 300
    rate.answered_inputs += 100
    rate.look(2.0, has_backlog=True)
    assert rate.per_s == 200.0


def test_a_backlog_that_began_or_ended_between_gives_none() -> None:
    rate = DrainRate()
    for second, has_backlog in enumerate([False, True, False, True, False]):
        rate.look(second, has_backlog=has_backlog)
        rate.answered_inputs += 5
    assert rate.per_s == 0.0


def test_what_was_answered_without_a_backlog_does_not_count_later() -> None:
    rate = DrainRate()
    rate.look(0.0, has_backlog=False)
    rate.answered_inputs += 1000
    rate.look(1.0, has_backlog=True)
    rate.answered_inputs += 50
    rate.look(2.0, has_backlog=True)
    assert rate.per_s == 50.0


def test_a_slower_upstream_is_known_after_some_seconds() -> None:
    rate = DrainRate()
    for second in range(30):
        rate.look(second, has_backlog=True)
        rate.answered_inputs += 400 if second < 15 else 100
    assert rate.per_s == pytest.approx(100, rel=0.1)


def test_the_rate_is_kept_for_a_while_without_a_backlog_and_then_forgotten() -> None:
    rate = DrainRate()
    rate.look(0.0, has_backlog=True)
    rate.answered_inputs += 400
    rate.look(1.0, has_backlog=True)
    known = []
    for second in range(2, 16):
        rate.look(second, has_backlog=False)
        known.append(rate.per_s)
    assert known == [400.0] * 10 + [0.0] * 4
