"""The rate is what could be answered, not what was asked for, and is unknown rather than wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.claiming.drain_rate import CALLS_MIN, FORGOTTEN_S, ROUNDS_MIN, AnsweredCall, DrainRate

LOOK_S = 1.0


class Drained:
    """A batcher that answers call after call, looked at once a second."""

    def __init__(self) -> None:
        self.rate = DrainRate()
        self.now_s = 0.0
        self.seen: list[float] = []  # at each look
        self._looked_s = 0.0

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.now_s + seconds
        while self._looked_s + LOOK_S <= end_s:
            self._looked_s += LOOK_S
            self.rate.look(self._looked_s)
            self.seen.append(self.rate.per_s)
        self.now_s = end_s

    def answers(
        self,
        calls: int,
        call_s: float,
        inputs: int = 32,
        slots: int = 1,
        *,
        had_backlog: bool = True,
        has_failed: bool = False,
        is_faster: bool = False,
    ) -> None:
        """Answer so many calls, of which `slots` end together every `call_s` seconds."""
        for _ in range(calls // slots):
            self.passes(call_s)
            ended = AnsweredCall(self.now_s, inputs, 0, had_backlog, has_failed, is_faster)
            self.rate.answered += [ended._replace(calls=slots - place) for place in range(slots)]


@given(call_s=st.floats(0.001, 5.0), inputs=st.integers(1, 64), slots=st.integers(1, 8))
def test_calls_of_whatever_length_give_the_rate(call_s: float, inputs: int, slots: int) -> None:
    """Also where all calls of a batcher end at the same time; and before enough of them have ended it is unknown."""
    batcher, needed = Drained(), max(CALLS_MIN, ROUNDS_MIN * slots)
    batcher.answers(needed, call_s, inputs, slots)
    first = [*batcher.seen]
    batcher.answers(2 * needed + 2 * slots + int(4 * slots / call_s), call_s, inputs, slots)
    batcher.passes(LOOK_S)

    assert not any(first)
    assert batcher.seen[-1] == pytest.approx(slots * inputs / call_s, rel=0.2)


def test_an_upstream_whose_calls_take_seconds_is_not_slower_than_it_is() -> None:
    """Counted by the second it answers 0, 3 or 32, and nearly all of 256 clients were refused though each had time."""
    batcher = Drained()
    for number in range(60):
        batcher.answers(1, 2.0, inputs=(3, 32, 32, 17)[number % 4])

    known = [per_s for per_s in batcher.seen if per_s]
    assert known
    assert min(known) >= 0.8 * (3 + 32 + 32 + 17) / 8.0


def test_no_request_is_refused_by_the_first_measurement() -> None:
    """The upstream may have been working for others while the first calls were made."""
    batcher = Drained()
    batcher.answers(CALLS_MIN + 1, 2.0, inputs=1)
    batcher.answers(3 * CALLS_MIN, 0.5, inputs=32)
    batcher.passes(LOOK_S)

    assert [0.0, pytest.approx(64)] == sorted(set(batcher.seen))


def test_calls_that_their_deadlines_ended_do_not_count_nor_make_the_rate_unknown() -> None:
    batcher = Drained()
    batcher.answers(4 * CALLS_MIN, 0.5, inputs=32)
    batcher.answers(20 * CALLS_MIN, 0.01, inputs=0)
    batcher.passes(LOOK_S)

    assert pytest.approx(64) == batcher.seen[-1]


def test_an_outage_says_nothing_of_what_could_be_done() -> None:
    """It was measured as a few good calls in a second, and requests were refused that had time enough."""
    batcher = Drained()
    for _ in range(2 * CALLS_MIN):
        batcher.answers(3, 0.1)
        batcher.answers(7, 0.05, inputs=0, has_failed=True)

    known = [per_s for per_s in batcher.seen if per_s]
    assert known
    assert pytest.approx(320) == min(known)


@pytest.mark.parametrize("is_upstream", [False, True])
def test_what_was_measured_before_an_outage_is_forgotten_before_it_ends(*, is_upstream: bool) -> None:
    """Of the upstream or of Redis: what is back may be faster, and the requests that it finds waiting are many."""
    batcher = Drained()
    batcher.answers(40, 0.4)
    before = batcher.rate.per_s
    if is_upstream:
        batcher.answers(1, 0.1, inputs=0, has_failed=True)
    else:
        batcher.rate.interrupt(batcher.now_s)
    batcher.passes(2.0)
    meanwhile = batcher.rate.per_s
    batcher.answers(CALLS_MIN, 0.1)
    batcher.passes(0.2)

    assert [pytest.approx(80), 0.0, 0.0] == [before, meanwhile, batcher.rate.per_s]


def test_a_failure_among_calls_of_seconds_is_not_an_outage() -> None:
    """Each takes longer than an outage has to."""
    batcher = Drained()
    for _ in range(6 * CALLS_MIN):
        batcher.answers(4, 2.0)
        batcher.answers(1, 1.0, inputs=0, has_failed=True)

    assert pytest.approx(16) == batcher.seen[-1]


def test_a_rate_that_is_exceeded_without_a_backlog_is_forgotten() -> None:
    """It is of a time when the upstream was slower."""
    batcher = Drained()
    batcher.answers(40, 0.4)
    before = batcher.rate.per_s
    batcher.answers(100, 0.01, inputs=2, had_backlog=False)
    batcher.passes(LOOK_S)

    assert [pytest.approx(80), 0.0] == [before, batcher.rate.per_s]


def test_what_was_measured_before_an_upstream_became_faster_refuses_nothing() -> None:
    """It is kept while nothing waits, and so few requests come that it is not exceeded: a burst would be refused by it."""
    batcher = Drained()
    batcher.answers(40, 0.4)
    before = batcher.rate.per_s
    batcher.answers(10, 0.01, inputs=1, had_backlog=False)
    batcher.answers(1, 0.01, inputs=1, had_backlog=False, is_faster=True)
    batcher.passes(LOOK_S)

    assert [pytest.approx(80), 0.0] == [before, batcher.rate.per_s]


def test_a_rate_that_is_not_reached_without_a_backlog_is_kept() -> None:
    """That is how many requests come."""
    batcher = Drained()
    batcher.answers(40, 0.4)
    batcher.answers(100, 0.01, inputs=1, had_backlog=False)
    batcher.answers(50, 0.1, inputs=1, had_backlog=False)

    assert pytest.approx(80) == batcher.rate.per_s


@given(share=st.integers(2, 9))
def test_an_upstream_that_fails_now_and_then_is_measured_by_its_good_calls(share: int) -> None:
    """Half of its calls, or a tenth: those that wait are answered at the same pace."""
    batcher = Drained()
    for _ in range(10 * CALLS_MIN):
        batcher.answers(share, 0.1)
        batcher.answers(1, 0.1, inputs=0, has_failed=True)

    assert pytest.approx(320) == batcher.seen[-1]


def test_without_a_backlog_nothing_is_known() -> None:
    batcher = Drained()
    batcher.answers(100, 0.1, had_backlog=False)

    assert not any(batcher.seen)


def test_a_measurement_in_which_the_backlog_ended_counts_for_nothing() -> None:
    batcher = Drained()
    for _ in range(20):
        batcher.answers(CALLS_MIN, 0.2)
        batcher.answers(1, 3.0, had_backlog=False)

    assert not any(batcher.seen)


def test_a_slower_upstream_is_known_after_two_measurements() -> None:
    batcher = Drained()
    batcher.answers(100, 0.1)
    before = batcher.rate.per_s
    batcher.answers(3 * CALLS_MIN + 1, 0.4)
    batcher.passes(LOOK_S)

    assert pytest.approx([320, 80], rel=0.05) == [before, batcher.rate.per_s]


def test_one_slow_measurement_lowers_nothing() -> None:
    batcher = Drained()
    batcher.answers(101, 0.1)
    batcher.answers(1, 5.0)
    batcher.answers(100, 0.1)

    known = [per_s for per_s in batcher.seen if per_s]
    assert pytest.approx(320, rel=0.05) == min(known)


def test_the_rate_is_kept_for_a_while_without_a_backlog_and_then_forgotten() -> None:
    batcher = Drained()
    batcher.answers(100, 0.1)
    batcher.seen.clear()
    batcher.passes(FORGOTTEN_S + 3 * LOOK_S)

    assert batcher.seen[0] > 0
    assert sum(before > 0 == after for before, after in pairwise(batcher.seen)) == 1
    assert batcher.seen[-1] == 0
