"""A slow upstream is called where that brings an answer sooner, and now and then to see whether it is as slow as before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.upstreams.passing_over import (
    FEW_INPUTS,
    LOOK_EVERY_CALLS,
    LOOK_EVERY_MIN_S,
    LOOK_EVERY_TIMES,
    LOOKS_UNTIL_THEN,
    SLOWER_TIMES,
)
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import LOOK_AGAIN_S, Pool, Slot
from autobatch_shared.contract.status import LearntCalls
from tests.unit.upstreams import make_upstream

NOW_S = 100.0
LENGTH = 100
FAST_S = 0.05  # of a call, whatever it carries


def known(name: str, call_s: float, *, calls_max: int = 1) -> Replica:
    """An upstream that works on one call at a time, and was called often."""
    upstream = make_upstream(name, calls_max=calls_max)
    upstream.tuner.adopt(LearntCalls(100, "summed", call_s, 1e-9, 0.0, 1.0, 0.0, calls_max, None))
    upstream.tuner.usual_length = LENGTH
    return upstream


def called(upstream: Replica, expected_s: float = FAST_S) -> Slot:
    return Slot(upstream, 32, 32 * LENGTH, was_busy=True, expected_s=expected_s)


def test_of_two_idle_ones_the_slow_one_is_passed_over() -> None:
    fast, slow = known("fast", FAST_S), known("slow", 20 * FAST_S)
    pool = Pool([fast, slow])

    assert {fast} == {pool.free(NOW_S, 1, waiting) for waiting in (0, 1, 10, 100)}
    assert (1, 1) == (pool.slots_free, pool.idle_places)


def test_what_a_busy_fast_one_will_soon_have_done_waits_for_it() -> None:
    fast, slow = known("fast", FAST_S), known("slow", 20 * FAST_S)
    pool = Pool([fast, slow])
    called(fast)

    assert pool.free(NOW_S, 1, 64) is None
    assert pool.slots_free == 0
    assert pool.next_free_s(NOW_S) == NOW_S + LOOK_AGAIN_S  # by then it may be late


def test_what_failed_elsewhere_goes_to_a_slow_one_only_where_no_fast_one_is_well() -> None:
    fast, other, slow = known("fast", FAST_S), known("other", FAST_S), known("slow", 20 * FAST_S)
    pool = Pool([fast, other, slow])
    assert pool.free(NOW_S, 1, 10) in (fast, other)
    slot = called(fast)
    called(other)

    assert pool.other_than(slot, 1, though_full=True) is other
    other.is_healthy = False
    assert pool.other_than(slot, 1, though_full=True) is slow


def test_where_more_waits_than_the_fast_one_does_meanwhile_the_slow_one_is_called() -> None:
    """It does 32 in 0.05 s, and so 640 in the second that a call to the slow one takes."""
    fast, slow = known("fast", FAST_S), known("slow", 20 * FAST_S)
    pool = Pool([fast, slow])
    called(fast)

    assert pool.free(NOW_S, 1, 640) is slow


def test_several_fast_ones_share_what_waits() -> None:
    fast, other, slow = known("fast", FAST_S), known("other", FAST_S), known("slow", 20 * FAST_S)
    pool = Pool([fast, other, slow])
    called(fast)
    called(other)

    assert (None, slow) == (pool.free(NOW_S, 1, 640), pool.free(NOW_S, 1, 1280))


@given(calls_s=st.lists(st.floats(FAST_S, SLOWER_TIMES * FAST_S), min_size=2, max_size=4), waiting=st.integers(0, 1000))
def test_none_of_those_that_are_about_as_fast_is_passed_over(calls_s: list[float], waiting: int) -> None:
    upstreams = [known(f"{place}", call_s) for place, call_s in enumerate(calls_s)]
    pool = Pool(upstreams)
    while (upstream := pool.free(NOW_S, 1, waiting)) is not None:
        called(upstream)

    assert all(upstream.load.calls == 1 for upstream in upstreams)


def test_one_that_was_never_called_is_called() -> None:
    fast, new = known("fast", FAST_S), make_upstream("new")
    called(fast)

    assert Pool([fast, new]).free(NOW_S, 1, 1) is new


def test_for_one_that_owes_a_late_answer_nothing_waits() -> None:
    fast, slow = known("fast", FAST_S), known("slow", 20 * FAST_S)
    called(fast)
    fast.breaker.late(NOW_S)

    assert Pool([fast, slow]).free(NOW_S, 1, 1) is slow


SLOW_S = 20 * FAST_S


def test_after_many_calls_to_others_a_single_job_sees_whether_it_is_as_slow_as_before() -> None:
    fast, slow = known("fast", FAST_S), known("slow", SLOW_S)
    pool = Pool([fast, slow])
    called(fast)
    now_s = looked_often(pool, fast, slow)
    later_s = now_s + LOOK_EVERY_TIMES * SLOW_S + 1

    fast.failures.calls += LOOK_EVERY_CALLS - 1
    assert pool.free(later_s, 1, 1) is None
    fast.failures.calls += 1
    assert pool.free(later_s - 2, 1, 1) is None  # what few clients get done would be less by that
    assert pool.free(later_s, 1, 1) is slow
    assert (1, 32) == (pool.limits_now(slow).inputs_max, pool.limits_now(fast).inputs_max)


def looked_often(pool: Pool, fast: Replica, slow: Replica) -> float:
    """Let the slow one be looked at until the pauses between two looks grow no more; return the time then."""
    now_s, pauses_s = NOW_S, []
    assert pool.free(now_s, 1, 1) is None
    for _ in range(LOOKS_UNTIL_THEN):
        began_s = now_s
        while pool.free(now_s, 1, 1) is not slow:
            fast.failures.calls += 1
            now_s += 0.1
        pauses_s.append(now_s - began_s)
        slot = called(slow, SLOW_S)
        assert pool.free(now_s, 1, 1) is None
        slot.release()
        assert pool.free(now_s, 1, 1) is None
    assert pauses_s == sorted(pauses_s)
    return now_s


@pytest.mark.parametrize(("waiting", "is_soon"), [(0, False), (FEW_INPUTS << LOOKS_UNTIL_THEN, True)])
def test_where_much_is_asked_one_that_paused_only_is_soon_called_again(waiting: int, *, is_soon: bool) -> None:
    """Of few requests one that waits for it is a large part."""
    fast, slow = known("fast", FAST_S), known("slow", SLOW_S)
    others = [known(f"{number}", FAST_S) for number in range(9)]  # together they answer all that waits sooner
    pool = Pool([fast, slow, *others])
    for each in (fast, *others):
        called(each)
        each.load.inputs = 0
    assert pool.free(NOW_S, 1, waiting) is None

    fast.failures.calls += LOOK_EVERY_CALLS >> LOOKS_UNTIL_THEN
    found = pool.free(NOW_S + max(1.1 * SLOW_S, LOOK_EVERY_MIN_S), 1, waiting)
    assert (found is slow) is is_soon


def test_calls_that_are_worth_their_while_make_looks_no_rarer() -> None:
    fast, slow = known("fast", FAST_S), known("slow", SLOW_S)
    pool = Pool([fast, slow])
    called(fast)
    for _ in range(LOOKS_UNTIL_THEN):
        assert pool.free(NOW_S, 1, 640) is slow
        called(slow, SLOW_S).release()
    assert pool.free(NOW_S, 1, 1) is None

    fast.load.inputs = FEW_INPUTS << LOOKS_UNTIL_THEN
    fast.failures.calls += LOOK_EVERY_CALLS >> LOOKS_UNTIL_THEN
    assert pool.free(NOW_S + max(1.1 * SLOW_S, LOOK_EVERY_MIN_S), 1, 1) is slow
