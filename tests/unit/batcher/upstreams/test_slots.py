"""Calls go where least work waits, and to an upstream that is out only to see whether it is back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.tuning.duty import Duty
from autobatch_batcher.upstreams.breaker import ALONE_PAUSE_MIN_S
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.status import LearntCalls
from tests.unit.upstreams import make_upstream, open_breaker

NOW_S = 100.0
LATER_S = NOW_S + 1_000


def call(upstream: Replica, inputs: int = 1, units: int = 0) -> Slot:
    return Slot(upstream, inputs, units, was_busy=False)


def books(upstream: Replica) -> tuple[int, int, int]:
    load = upstream.load
    return load.calls, load.inputs, load.work


def test_the_one_with_the_least_outstanding_work_is_called() -> None:
    """Not the one with the fewest calls: one long call is more work than three short ones."""
    a, b = make_upstream("a", calls_max=4), make_upstream("b", calls_max=4)
    call(a, inputs=32, units=10_000)
    for _ in range(3):
        call(b, inputs=8, units=100)

    assert Pool([a, b]).free(NOW_S) is b


def test_where_no_length_is_known_inputs_are_the_work() -> None:
    a, b = make_upstream("a"), make_upstream("b")
    call(a, inputs=2)
    call(b, inputs=1)

    assert Pool([a, b]).free(NOW_S) is b


def test_without_a_free_slot_there_is_none() -> None:
    a, b = make_upstream("a", calls_max=1), make_upstream("b", calls_max=2)
    for upstream in (a, b, b):
        call(upstream)

    assert Pool([a, b]).free(NOW_S) is None
    assert 0 == Pool([a, b]).slots_free


def test_an_upstream_that_takes_no_further_input_has_no_room() -> None:
    a = make_upstream("a", in_flight_inputs_max=32)
    call(a, inputs=32)

    assert Pool([a]).free(NOW_S) is None


def test_of_an_upstream_that_is_nearly_full_the_next_call_has_the_rest() -> None:
    a = make_upstream("a", in_flight_inputs_max=40)
    call(a, inputs=32)

    assert (8, 8) == (Pool([a]).limits_now(a).inputs_max, Pool([a]).room(a))


def shared_by(batchers: int, *upstreams: Replica) -> Pool:
    pool = Pool(list(upstreams))
    pool.batchers = batchers
    return pool


@pytest.mark.parametrize(("batchers", "inputs_max"), [(1, 32), (2, 32), (4, 16), (64, 1), (100, 1)])
def test_of_an_upstreams_limit_each_batcher_has_its_share(batchers: int, inputs_max: int) -> None:
    a = make_upstream("a", in_flight_inputs_max=64)

    assert inputs_max == shared_by(batchers, a).limits_now(a).inputs_max


def test_a_batcher_that_has_its_share_in_flight_has_no_slot() -> None:
    a = make_upstream("a", in_flight_inputs_max=64)
    pool = shared_by(4, a)
    free = pool.slots_free
    call(a, inputs=16)

    assert (1, 0, None) == (free, pool.slots_free, pool.free(NOW_S))


def test_when_batchers_come_calls_in_flight_may_exceed_the_share_and_nothing_more_is_sent() -> None:
    a = make_upstream("a", in_flight_inputs_max=64, calls_max=4)
    call(a, inputs=32)
    pool = shared_by(4, a)

    assert (0, None) == (pool.slots_free, pool.free(NOW_S))


def test_a_job_that_is_larger_than_the_room_left_waits_for_room() -> None:
    a, b = make_upstream("a", in_flight_inputs_max=40), make_upstream("b", in_flight_inputs_max=50)
    slots = call(a, inputs=20), call(b, inputs=21)
    pool = Pool([a, b])

    assert (b, None) == (pool.free(NOW_S, 29), pool.free(NOW_S, 30))
    slots[0].release()
    assert a is pool.free(NOW_S, 30)


def test_a_job_that_is_larger_than_the_share_goes_when_nothing_else_is_in_flight() -> None:
    a = make_upstream("a", in_flight_inputs_max=64)
    pool = shared_by(4, a)
    free = pool.free(NOW_S, 32)
    call(a, inputs=1)

    assert (a, None) == (free, pool.free(NOW_S, 32))


async def test_workers_hear_how_large_a_job_of_our_share_may_be() -> None:
    a, b = make_upstream("a", in_flight_inputs_max=64), make_upstream("b")

    assert [16, 32] == [status.batch_inputs_max for status in shared_by(4, a, b).statuses(NOW_S)]


def test_a_slot_that_was_given_back_is_free() -> None:
    a = make_upstream("a", calls_max=1)
    slot = call(a, inputs=3, units=99)
    slot.release()

    assert (0, 0, 0) == books(a)
    assert Pool([a]).free(NOW_S) is a


def test_a_slot_that_moved_is_given_back_where_it_went() -> None:
    a, b = make_upstream("a"), make_upstream("b")
    slot = call(a, inputs=3, units=99)
    slot.move_to(b)

    assert ((0, 0, 0), (1, 3, 102)) == (books(a), books(b))
    slot.release()
    assert ((0, 0, 0), (0, 0, 0)) == (books(a), books(b))


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["call", "move", "release"]), st.integers(0, 9), st.integers(1, 40), st.integers(0, 9)
        ),
        max_size=40,
    )
)
def test_whatever_happens_the_books_are_what_is_in_flight(steps: list[tuple[str, int, int, int]]) -> None:
    upstreams = [make_upstream(name) for name in "abc"]
    slots: list[tuple[Slot, int]] = []
    for what, which, inputs, place in steps:
        upstream = upstreams[which % 3]
        if what == "call":
            slots.append((call(upstream, inputs), inputs))
        elif slots and what == "move":
            slots[place % len(slots)][0].move_to(upstream)
        elif slots:
            slots.pop(place % len(slots))[0].release()
    for upstream in upstreams:
        here = [inputs for slot, inputs in slots if slot.upstream is upstream]
        assert (len(here), sum(here), sum(here)) == books(upstream)
    assert len(slots) == Pool(upstreams).calls_in_flight


def test_while_one_is_well_the_others_are_left_alone() -> None:
    ill, out, well = make_upstream("ill", is_healthy=False), make_upstream("out"), make_upstream("well", calls_max=2)
    open_breaker(out, NOW_S)
    call(well, inputs=32, units=10_000)
    pool = Pool([ill, out, well])

    assert pool.free(NOW_S) is well
    call(well)
    assert pool.free(NOW_S) is None


def test_one_that_was_taken_out_is_tried_first_once_its_pause_is_over() -> None:
    well, out = make_upstream("well"), make_upstream("out")
    open_breaker(out, NOW_S)
    pool = Pool([well, out])

    assert pool.free(NOW_S) is well
    assert pool.free(LATER_S) is out


def test_it_is_tried_with_one_call_at_a_time() -> None:
    well, out = make_upstream("well"), make_upstream("out")
    open_breaker(out, NOW_S)
    pool = Pool([well, out])
    trial = call(out)
    out.breaker.called()

    assert pool.free(LATER_S) is well
    trial.release()
    out.breaker.failed(LATER_S)
    assert pool.free(LATER_S) is well
    assert pool.free(LATER_S + 1_000) is out


def test_a_slot_taken_for_a_trial_is_the_trial() -> None:
    """The working loop looks for the next slot before the call of the last one has begun: all would be trials."""
    well, out = make_upstream("well"), make_upstream("out")
    open_breaker(out, NOW_S)
    pool = Pool([well, out])
    first = pool.free(LATER_S)
    assert first is out
    call(first)

    assert pool.free(LATER_S) is well


def test_where_none_is_well_any_is_better_than_none() -> None:
    ill, out = make_upstream("ill", is_healthy=False), make_upstream("out")
    open_breaker(out, NOW_S)
    pool = Pool([ill, out])

    first = pool.free(NOW_S)
    assert first
    call(first)
    assert {ill, out} == {first, pool.free(NOW_S)}


def test_where_none_is_well_they_are_asked_in_turn() -> None:
    """A client that asks one thing after the other would ask the dead one each time, though the other is back."""
    dead, back = make_upstream("dead"), make_upstream("back")
    for upstream in (dead, back):
        open_breaker(upstream, NOW_S)
    pool = Pool([dead, back])
    asked = []
    for _ in range(4):
        free = pool.free(NOW_S)
        assert free
        asked.append(free.name)
        call(free).release()
        free.breaker.failed(NOW_S)

    assert {"http://dead", "http://back"} == set(asked)


def test_lone_calls_of_several_batchers_are_spread() -> None:
    """Batchers do not know of each other's calls: of four idle replicas four of them would all call the first."""
    firsts = set()
    for _ in range(20):
        upstream = Pool([make_upstream(name) for name in "abcd"]).free(NOW_S)
        assert upstream
        firsts.add(upstream.name)

    assert len(firsts) > 1


def test_slots_where_nothing_is_sent_are_not_free() -> None:
    well, out, ill = make_upstream("well"), make_upstream("out"), make_upstream("ill", is_healthy=False)
    open_breaker(out, NOW_S)

    assert 2 == Pool([well, out, ill]).slots_free


def test_free_slots_are_those_of_all() -> None:
    a, b = make_upstream("a", calls_max=2), make_upstream("b", calls_max=3)
    call(b)

    assert 4 == Pool([a, b]).slots_free


def test_an_upstream_with_more_calls_than_it_should_have_takes_no_slots_from_the_others() -> None:
    """The climb may lower the number while they are in flight, and a retry may come in from elsewhere."""
    a, b = make_upstream("a", calls_max=1), make_upstream("b", calls_max=1)
    call(a)
    call(a)

    assert 1 == Pool([a, b]).slots_free


def test_a_retry_goes_to_another_good_one_with_the_least_work() -> None:
    here, busy, free = (make_upstream(name) for name in ("here", "busy", "free"))
    slot = call(here)
    call(busy, inputs=9)

    assert Pool([here, busy, free]).other_than(slot, 1) is free


def test_a_retry_stays_where_no_other_is_good_and_has_room() -> None:
    here, ill, out = make_upstream("here"), make_upstream("ill", is_healthy=False), make_upstream("out")
    taken, small = make_upstream("taken", calls_max=1), make_upstream("small", in_flight_inputs_max=8)
    open_breaker(out, NOW_S)
    call(taken)
    slot = call(here, inputs=9)

    assert Pool([here, ill, out, taken, small]).other_than(slot, 9) is here
    assert Pool([here, ill, out, taken, small]).other_than(slot, 8) is small


def test_a_retry_goes_to_one_that_another_batcher_calls_within_its_number_of_calls() -> None:
    """Of two batchers and two upstreams each has one: a client would get the error of one while the other is well."""
    here, theirs = make_upstream("here"), make_upstream("theirs", calls_max=2, in_flight_inputs_max=64)
    slot = call(here, inputs=9)
    theirs.duty = theirs.last_duty = Duty(is_on=False, sharers=1, taken=64)
    pool = Pool([here, theirs])
    pool.statuses(NOW_S)

    for _ in range(2):
        assert pool.other_than(slot, 9) is theirs
        call(theirs, inputs=9)
    assert pool.other_than(slot, 9) is here


def test_while_the_only_one_is_out_nothing_is_called_but_its_trials() -> None:
    out = make_upstream("out")
    open_breaker(out, NOW_S)
    pool = Pool([out], patience_s=10)

    assert pool.free(NOW_S) is None
    assert pool.next_free_s(NOW_S) == NOW_S + ALONE_PAUSE_MIN_S
    assert pool.free(NOW_S + ALONE_PAUSE_MIN_S) is out
    trial = call(out)
    assert pool.free(NOW_S + ALONE_PAUSE_MIN_S) is None
    trial.release()
    assert 1 == pool.limits_now(out).inputs_max  # more jobs need not fail with it


def test_one_that_cannot_be_reached_is_looked_for_and_not_called() -> None:
    down = make_upstream("down", is_healthy=False)
    down.down_since_s = NOW_S
    pool = Pool([down], patience_s=10)

    assert pool.may_wait(NOW_S + 9.9)
    assert pool.free(NOW_S + 9.9) is None


def test_when_jobs_have_waited_long_enough_they_are_taken_and_refused() -> None:
    out = make_upstream("out")
    open_breaker(out, NOW_S)
    out.breaker.called()
    out.breaker.failed(NOW_S + 10)
    pool = Pool([out], patience_s=10)

    assert not pool.may_wait(NOW_S + 10)
    assert pool.free(NOW_S + 10) is out
    assert not pool.may_call(out, NOW_S + 10)


def test_while_none_is_well_what_comes_of_a_trial_is_waited_for() -> None:
    """However long the outage seems: there may have been no request since it was over."""
    out = make_upstream("out")
    open_breaker(out, NOW_S)
    pool = Pool([out], patience_s=10)
    out.breaker.called()
    assert not pool.may_wait(LATER_S)
    assert pool.free(LATER_S) is None

    out.breaker.failed(LATER_S)
    assert pool.free(LATER_S) is out


def test_no_trial_is_waited_for_while_another_one_is_well() -> None:
    out, well = make_upstream("out"), make_upstream("well")
    open_breaker(out, NOW_S)
    out.breaker.called()

    assert Pool([out, well]).free(LATER_S) is well


def test_jobs_wait_for_no_replica_while_another_one_is_well() -> None:
    down = make_upstream("down", is_healthy=False)
    down.down_since_s = NOW_S

    assert not Pool([down, make_upstream("well")], patience_s=10).may_wait(NOW_S)


def test_a_server_without_a_health_route_is_called() -> None:
    """It answers 404 there, which is no outage."""
    nameless = make_upstream("nameless", is_healthy=False)

    assert Pool([nameless], patience_s=10).free(NOW_S) is nameless


@given(
    limit=st.integers(1, 200),
    batchers=st.integers(1, 8),
    steps=st.lists(st.tuples(st.integers(0, 7), st.integers(1, 40), st.booleans()), max_size=120),
)
def test_batchers_together_stay_within_the_limit_but_for_jobs_that_are_larger_than_a_share(
    limit: int, batchers: int, steps: list[tuple[int, int, bool]]
) -> None:
    views = [make_upstream("a", calls_max=9, in_flight_inputs_max=limit) for _ in range(batchers)]
    pools = [shared_by(batchers, view) for view in views]
    slots: list[list[Slot]] = [[] for _ in pools]
    share = max(limit // batchers, 1)
    for number, inputs, is_end in steps:
        place = number % batchers
        if is_end and slots[place]:
            slots[place].pop(0).release()
        elif (upstream := pools[place].free(NOW_S, inputs)) is not None:
            slots[place].append(call(upstream, inputs))
        own = views[place].load
        assert own.inputs <= share or own.calls == 1
    if batchers <= limit and all(view.load.calls != 1 for view in views):
        assert sum(view.load.inputs for view in views) <= limit


def test_one_that_stands_by_calls_what_is_its_own_and_only_sends_the_rest_of_what_it_has() -> None:
    a, b = make_upstream("a"), make_upstream("b")
    pool = Pool([a, b])
    b.duty = Duty(is_on=False, sharers=1)
    assert (a, False) == (pool.free(NOW_S), pool.stands_by)

    a.duty = Duty(is_on=False, sharers=1)
    assert pool.stands_by
    assert pool.free(NOW_S) in (a, b)  # jobs that it has claimed go nevertheless


def test_one_that_does_not_reach_its_upstream_any_more_gives_up_its_permits_though_jobs_wait() -> None:
    upstream = make_upstream("a", in_flight_inputs_max=64)
    pool = Pool([upstream])
    pool.statuses(NOW_S)
    upstream.set_reachable(reachable=False, now_s=NOW_S)
    upstream.set_health(healthy=False, why="refused", now_s=NOW_S)

    on_duty(upstream, is_on=False)
    assert 0 == pool.statuses(NOW_S, has_jobs=True)[0].permits


def test_what_others_find_well_is_left_to_them_by_one_that_does_not_reach_it() -> None:
    upstream = make_upstream("a")
    pool = Pool([upstream])
    upstream.set_reachable(reachable=False, now_s=NOW_S)
    upstream.set_health(healthy=False, why="refused", now_s=NOW_S)
    assert not pool.stands_by

    on_duty(upstream, is_on=False)
    assert pool.stands_by


def test_a_free_permit_is_news_to_one_that_waits_for_it() -> None:
    upstream = make_upstream("a", in_flight_inputs_max=64)
    pool = Pool([upstream])
    on_duty(upstream, taken=64)
    assert pool.stands_by
    assert pool.hands_over

    assert upstream.take_duty(Duty(is_on=True, sharers=1, taken=0))
    assert not pool.stands_by
    assert not pool.hands_over


def on_duty(upstream: Replica, *, is_on: bool = True, taken: int = 0) -> None:
    upstream.take_duty(Duty(is_on=is_on, sharers=1, taken=taken))


def stood_down(in_flight_inputs_max: int) -> tuple[Replica, Pool]:
    """An upstream that another batcher calls since a moment ago."""
    upstream = make_upstream("a", in_flight_inputs_max=in_flight_inputs_max)
    pool = Pool([upstream])
    on_duty(upstream)
    pool.statuses(NOW_S)
    on_duty(upstream, is_on=False)
    return upstream, pool


def test_permits_are_shared_by_those_on_duty() -> None:
    upstream = make_upstream("a", in_flight_inputs_max=64)
    pool = Pool([upstream])
    pool.batchers = 4
    assert 16 == pool.limits_now(upstream).inputs_max

    on_duty(upstream)
    pool.statuses(NOW_S)
    assert 32 == pool.limits_now(upstream).inputs_max


def test_permits_are_taken_once_the_others_have_given_them_up() -> None:
    upstream = make_upstream("a", in_flight_inputs_max=64)
    pool = Pool([upstream])
    on_duty(upstream, taken=50)
    assert 64 == pool.statuses(NOW_S)[0].permits  # which it asks for
    assert 14 == pool.limits_now(upstream).inputs_max
    assert not pool.stands_by

    on_duty(upstream, taken=64)
    assert pool.stands_by


@pytest.mark.parametrize("is_stopping", [True, False])
def test_one_that_stops_or_stands_by_keeps_its_permits_until_it_has_sent_what_it_has(*, is_stopping: bool) -> None:
    upstream = make_upstream("a", in_flight_inputs_max=64)
    pool = Pool([upstream])
    on_duty(upstream, taken=40)
    call(upstream, inputs=3)
    assert 64 == pool.statuses(NOW_S)[0].permits

    pool.is_stopping = is_stopping
    on_duty(upstream, taken=40, is_on=is_stopping)

    upstream.set_health(healthy=True, why="answered", now_s=NOW_S)
    assert 64 == pool.statuses(NOW_S, has_jobs=True)[0].permits
    assert 24 - 3 == pool.limits_now(upstream).inputs_max
    assert 3 == pool.statuses(NOW_S)[0].permits


def test_what_was_claimed_by_one_that_stands_by_already_leaves_in_full_calls_one_at_a_time() -> None:
    """As what its watch brought, or what waited for an upstream that is back: one input a call would take as many calls."""
    upstream, pool = stood_down(in_flight_inputs_max=64)
    upstream.set_health(healthy=True, why="answered", now_s=NOW_S)
    assert 0 == pool.statuses(NOW_S)[0].permits  # nothing was held then

    assert 32 == pool.limits_now(upstream).inputs_max
    slot = call(upstream, inputs=32)
    assert pool.free(NOW_S) is None
    assert 32 == pool.statuses(NOW_S, has_jobs=True)[0].permits  # the one on duty leaves it so much
    slot.release()
    assert 32 == pool.limits_now(upstream).inputs_max
    assert 0 == pool.statuses(NOW_S)[0].permits


def test_one_that_stands_by_sends_no_more_at_once_than_an_upstream_takes() -> None:
    upstream, pool = stood_down(in_flight_inputs_max=24)
    pool.statuses(NOW_S)

    assert 24 == pool.limits_now(upstream).inputs_max


@pytest.mark.parametrize(
    ("one_by_one", "inputs", "may_be_called"), [(1.0, 20, False), (1.0, 10, True), (0.5, 20, True)]
)
def test_what_a_call_has_left_of_a_limit_is_no_call_where_calls_wait_for_each_other(
    one_by_one: float, inputs: int, *, may_be_called: bool
) -> None:
    """Two calls would share what one after the other can have whole."""
    a = make_upstream("a", in_flight_inputs_max=24)
    a.tuner.adopt(LearntCalls(1000, "summed", 0.01, 6e-6, 0.0, one_by_one, 1 - one_by_one, 2, None))
    call(a, inputs=inputs)

    assert may_be_called is (Pool([a]).free(NOW_S) is a)
