"""What TARGET_P99_MS sends, and what it refuses."""

import msgspec
import pytest

from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.forming.policy import CallMoment, policy_named
from autobatch_batcher.forming.target import BUDGET_MIN, BUDGET_START, FRESH, LEARNING_CALLS, TargetPolicy
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.cost import CallCost
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits
from tests.unit.builders import make_job, names

ANY = 10**9
TARGET_MS = 101
COST = CallCost(flat_s=0.01, per_unit_s=1e-5)  # 10 ms, and 1 ms for each hundred units
AT_MS = 10_000
NOW = CallMoment(
    limits=Limits(inputs_max=32, body_bytes_max=ANY, in_flight_inputs_max=ANY),
    shape=BatchShape(None, None),
    room_inputs=ANY,
    now_ms=AT_MS,
    is_idle=True,
    busy_ms=0.0,
    is_draining=False,
    cost=COST,
)


def lanes_of(*jobs: Job) -> Lanes:
    lanes = Lanes(Tei().envelope_bytes)
    for job in jobs:
        lanes.add(job)
    return lanes


def aged(name: str, age_ms: int, longest: int = 100, claimed_ms: int | None = None) -> Job:
    return make_job(name, at=AT_MS - age_ms, longest=longest, claimed_ms=claimed_ms)


def after_calls(policy: TargetPolicy, calls: int) -> TargetPolicy:
    for number in range(calls):
        assert policy.take(NOW, lanes_of(aged(str(number), 0))) is not None
    return policy


def test_the_target_makes_the_policy() -> None:
    assert isinstance(policy_named("full", 10, TARGET_MS), TargetPolicy)
    assert not isinstance(policy_named("full", 10), TargetPolicy)


def test_what_would_be_answered_too_late_is_refused() -> None:
    """A call of one such job takes 11 ms, of these 16: a job has 85 ms in all."""
    jobs = [aged("young", 60), aged("old", 75), aged("late", 90), aged("long", 71, longest=300)]
    refused = TargetPolicy(10, TARGET_MS).hopeless(NOW, lanes_of(*jobs))
    assert {"w.old", "w.late", "w.long"} == set(refused)


def test_a_job_that_has_just_come_is_never_refused() -> None:
    """However dear its call seems: only calls show that it is not."""
    dear = msgspec.structs.replace(NOW, cost=CallCost(flat_s=5.0, per_unit_s=1.0))
    ages_ms = {"new": 0, "fresh": int(FRESH * BUDGET_START * (TARGET_MS - 1)), "old": 50}
    refused = TargetPolicy(10, TARGET_MS).hopeless(dear, lanes_of(*(aged(name, ms) for name, ms in ages_ms.items())))
    assert ["w.old"] == refused


def test_bulk_work_has_no_target() -> None:
    bulk = aged("bulk", 5_000, claimed_ms=AT_MS)
    policy = TargetPolicy(10, TARGET_MS)
    assert [] == policy.hopeless(NOW, lanes_of(bulk))
    policy.note_answered([bulk], AT_MS)
    assert BUDGET_START * (TARGET_MS - 1) == policy.budget_ms


def test_a_call_leaves_as_much_time_for_the_wait_before_it() -> None:
    """Of 85 ms a call may take 42: 10 and 3,250 units, one more input like its longest included."""
    policy = TargetPolicy(10, TARGET_MS)
    for size in (800, 1200, 1600, 2000, 2400, 2800, 3200):
        policy.take(NOW, lanes_of(make_job("larger", at=AT_MS, n=1, longest=size)))
    batch = policy.take(NOW, lanes_of(*(aged(str(number), 0, longest=250) for number in range(32))))
    assert batch is not None
    assert 12 == batch.inputs


def test_the_first_calls_are_small_as_nothing_is_known_of_larger_ones() -> None:
    batch = TargetPolicy(10, TARGET_MS).take(NOW, lanes_of(*(aged(str(number), 0) for number in range(32))))
    assert batch is not None
    assert 11 == batch.inputs


@pytest.mark.parametrize("longest", [100, 250, 400, 1000])
def test_calls_that_are_in_time_grow_whatever_the_length_of_their_inputs(longest: int) -> None:
    policy = TargetPolicy(10, TARGET_MS)
    cheap = msgspec.structs.replace(NOW, cost=CallCost(flat_s=0.01, per_unit_s=1e-7))
    sizes = []
    for _ in range(32):
        batch = policy.take(cheap, lanes_of(*(aged(str(number), 0, longest=longest) for number in range(32))))
        assert batch is not None
        sizes.append(batch.inputs)
    assert sorted(sizes) == sizes
    assert 32 == sizes[-1]


def test_a_call_waits_for_the_one_before_where_they_would_wait_for_each_other() -> None:
    busy = msgspec.structs.replace(NOW, is_idle=False, ahead_s=0.02)
    side_by_side = msgspec.structs.replace(busy, is_one_by_one=False, ahead_s=0.0)
    jobs = [aged("a", 20), aged("b", 90)]
    policy = after_calls(TargetPolicy(10, TARGET_MS), LEARNING_CALLS + 1)

    assert policy.take(busy, lanes_of(*jobs)) is None
    assert [] == policy.hopeless(busy, lanes_of(*jobs)), "the call before may be over sooner"
    batch = policy.take(side_by_side, lanes_of(*jobs))
    assert batch is not None
    assert ["b", "a"] == names(batch.jobs)


def test_the_budget_stays_where_one_of_a_hundred_is_late() -> None:
    policy = TargetPolicy(10, TARGET_MS)
    in_time, late = [aged(str(number), 10) for number in range(99)], [aged("late", 150)]
    policy.note_answered(in_time, AT_MS)
    assert policy.budget_ms > BUDGET_START * (TARGET_MS - 1)
    policy.note_answered(late, AT_MS)
    assert pytest.approx(BUDGET_START * (TARGET_MS - 1)) == policy.budget_ms


def test_the_budget_has_a_least_and_is_never_above_the_target() -> None:
    policy = TargetPolicy(10, TARGET_MS)
    for _ in range(1_000):
        policy.note_answered([aged("late", 150)], AT_MS)
    assert BUDGET_MIN * (TARGET_MS - 1) == policy.budget_ms
    for _ in range(1_000):
        policy.note_answered([aged(str(number), 10) for number in range(32)], AT_MS)
    assert TARGET_MS - 1 == policy.budget_ms


def test_after_a_late_call_the_next_is_half_as_large() -> None:
    policy, large = TargetPolicy(10, TARGET_MS), [aged(str(number), 0, longest=300) for number in range(8)]
    for size in (1200, 1500, 1800, 2200, 2700, 3000):
        policy.take(NOW, lanes_of(make_job("larger", at=AT_MS, longest=size)))
    before = policy.take(NOW, lanes_of(*large))
    policy.note_answered([aged(str(number), 200, longest=300) for number in range(8)], AT_MS)
    after = policy.take(NOW, lanes_of(*large))
    assert before is not None
    assert after is not None
    assert (8, 4) == (before.inputs, after.inputs)
