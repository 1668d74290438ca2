"""What every policy of the table must do, and how little a new one needs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming.adaptive import WINDOW_BATCHES
from autobatch_batcher.forming.full import FullPolicy
from autobatch_batcher.forming.lanes import Batch, Lanes, Reason
from autobatch_batcher.forming.pace import LINGER_MAX_S
from autobatch_batcher.forming.policy import CallMoment, ClaimMoment, Policy, Wanted, policy_named
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.cost import CallCost
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits
from autobatch_shared.settings.choices import POLICIES
from tests.unit.builders import FAR_MS, UNNORMALIZED, Kind, make_job, names

M = TypeVar("M", ClaimMoment, CallMoment)

WAIT_MS = 10
ANY = 10**9
FOUR = Limits(inputs_max=4, body_bytes_max=ANY, in_flight_inputs_max=ANY)
BY_ARRIVAL = BatchShape(None, None)


class AlwaysEight(FullPolicy):
    """Batches of eight inputs, whatever the upstream could carry."""

    def wanted(self, now: ClaimMoment, lanes: Lanes) -> Wanted:
        return super().wanted(_of_eight(now), lanes)

    def take(self, now: CallMoment, lanes: Lanes) -> Batch | None:
        return super().take(_of_eight(now), lanes)


def _of_eight(now: M) -> M:
    return msgspec.structs.replace(now, limits=replace(now.limits, inputs_max=min(8, now.limits.inputs_max)))


JOBS = st.lists(
    st.builds(
        make_job,
        st.uuids().map(str),
        n=st.integers(1, 6),
        at=st.integers(0, 50),
        kind=st.sampled_from(["merge", "merge", "merge", "solo", "verbatim"]),
        options=st.sampled_from([None, UNNORMALIZED]),
        longest=st.integers(0, 300),
        is_suspect=st.sampled_from([False, False, False, True]),
    ),
    max_size=40,
)
LIMITS = st.builds(Limits, st.integers(1, 64), st.just(ANY), st.just(ANY))
SHAPES = st.builds(BatchShape, padding_max=st.none() | st.floats(0, 500), units_max=st.none() | st.integers(1, 2_000))
CLAIM_MOMENTS = st.builds(
    ClaimMoment,
    limits=LIMITS,
    shape=SHAPES,
    may_have_jobs=st.booleans(),
    queued=st.integers(0, 100),
    slots_free=st.integers(0, 4),
    calls_in_flight=st.integers(0, 4),
    call_fixed_s=st.floats(0, 1),
    was_blocked=st.booleans(),
    is_draining=st.booleans(),
)
#: Claims, batches that left and moments without a call, each with the seconds since the fact before it.
FACTS = st.lists(
    st.tuples(st.sampled_from(["claim", "sent", "idle"]), st.integers(0, 64), st.floats(0, 0.01)), max_size=40
)


def lanes_of(jobs: list[Job]) -> Lanes:
    lanes = Lanes(Tei().envelope_bytes)
    for job in jobs:
        lanes.add(job)
    return lanes


def at(
    now_ms: int,
    *,
    limits: Limits = FOUR,
    shape: BatchShape = BY_ARRIVAL,
    room_inputs: int = ANY,
    is_idle: bool = False,
    busy_ms: float = 0.0,
    is_draining: bool = False,
    ask_again_s: float = 0.0,
    idle_places: int = 1,
    cost: CallCost = CallCost(),  # noqa: B008 - it is frozen
) -> CallMoment:
    return CallMoment(
        limits=limits,
        shape=shape,
        room_inputs=room_inputs,
        now_ms=now_ms,
        is_idle=is_idle,
        busy_ms=busy_ms,
        is_draining=is_draining,
        ask_again_s=ask_again_s,
        idle_places=idle_places,
        cost=cost,
    )


def tell(policy: Policy, facts: list[tuple[str, int, float]]) -> None:
    """Let a policy learn from whatever may happen."""
    now_s = 0.0
    for what, inputs, gap_s in facts:
        now_s += gap_s
        if what == "claim":
            policy.note_claim(inputs, now_s)
        elif what == "sent":
            batch = policy.take(at(0, is_idle=True, is_draining=True), lanes_of([make_job("sent")]))
            assert batch is not None
            policy.note_sent(batch, now_s)
        else:
            policy.note_idle()


MAKERS: dict[str, Callable[[int], Policy]] = {name: partial(policy_named, name) for name in POLICIES}
MAKERS["always 8"] = AlwaysEight


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
class TestEveryPolicy:
    """The contract. A policy is given lanes in whatever state, at whatever moment, with whatever history."""

    @given(jobs=JOBS, now=CLAIM_MOMENTS, facts=FACTS)
    def test_what_is_held_never_exceeds_the_window(
        self, make: Callable[[int], Policy], jobs: list[Job], now: ClaimMoment, facts: list[tuple[str, int, float]]
    ) -> None:
        policy, lanes = make(WAIT_MS), lanes_of(jobs)
        tell(policy, facts)
        wanted = policy.wanted(now, lanes)

        assert 0 <= wanted.inputs
        assert 1 <= wanted.call_inputs_max <= now.limits.inputs_max
        assert lanes.inputs + wanted.inputs <= max(
            now.limits.inputs_max * max(now.slots_free, WINDOW_BATCHES), lanes.inputs
        )

    @given(jobs=JOBS, now=CLAIM_MOMENTS, facts=FACTS, wait_max_ms=st.integers(0, 10))
    def test_no_claim_lingers_longer_than_allowed(
        self,
        make: Callable[[int], Policy],
        jobs: list[Job],
        now: ClaimMoment,
        facts: list[tuple[str, int, float]],
        wait_max_ms: int,
    ) -> None:
        policy = make(wait_max_ms)
        tell(policy, facts)

        assert 0 <= policy.wanted(now, lanes_of(jobs)).linger_s <= min(LINGER_MAX_S, wait_max_ms / 1000)

    @given(now=CLAIM_MOMENTS)
    def test_an_empty_batcher_claims_what_may_wait(self, make: Callable[[int], Policy], now: ClaimMoment) -> None:
        wanted = make(WAIT_MS).wanted(now, lanes_of([]))

        assert (wanted.inputs > 0) == (now.may_have_jobs and not now.is_draining)

    @given(jobs=JOBS, now=CLAIM_MOMENTS)
    def test_to_ask_changes_nothing(self, make: Callable[[int], Policy], jobs: list[Job], now: ClaimMoment) -> None:
        policy, lanes = make(WAIT_MS), lanes_of(jobs)

        assert policy.wanted(now, lanes) == policy.wanted(now, lanes)
        assert policy.due_ms(lanes) == policy.due_ms(lanes)
        assert list(lanes) == list(lanes_of(jobs))

    @given(jobs=JOBS, limits=LIMITS, shape=SHAPES)
    def test_draining_empties_the_lanes_and_claims_nothing(
        self, make: Callable[[int], Policy], jobs: list[Job], limits: Limits, shape: BatchShape
    ) -> None:
        policy, lanes, sent = make(WAIT_MS), lanes_of(jobs), []
        now = at(0, limits=limits, shape=shape, is_draining=True)
        while (batch := policy.take(now, lanes)) is not None:
            assert len({job.body for job in batch.jobs}) == 1 or batch.inputs <= limits.inputs_max
            assert len({job.lane for job in batch.jobs}) == 1
            sent += names(batch.jobs)

        assert sorted(sent) == sorted(names(jobs))
        assert (lanes.inputs, policy.due_ms(lanes)) == (0, None)

    def test_a_lane_leaves_at_once_when_nothing_more_fits(self, make: Callable[[int], Policy]) -> None:
        policy, lanes = make(WAIT_MS), lanes_of([make_job("a", n=3), make_job("b")])
        batch = policy.take(at(0), lanes)

        assert batch is not None
        assert (names(batch.jobs), batch.reason) == (["a", "b"], Reason.FULL)

    @given(jobs=JOBS, room_inputs=st.integers(1, 8), is_idle=st.booleans())
    def test_what_leaves_has_room_though_it_be_one_large_job(
        self, make: Callable[[int], Policy], jobs: list[Job], room_inputs: int, *, is_idle: bool
    ) -> None:
        policy, lanes, sent = make(WAIT_MS), lanes_of(jobs), []
        limits = replace(FOUR, inputs_max=min(room_inputs, FOUR.inputs_max))
        now = at(FAR_MS, limits=limits, room_inputs=room_inputs, is_idle=is_idle, is_draining=True)
        while (batch := policy.take(now, lanes)) is not None:
            assert batch.inputs <= room_inputs
            sent += names(batch.jobs)

        waiting = {job.lane for job in lanes}
        assert all(any(job.header.n > room_inputs for job in lanes if job.lane == lane) for lane in waiting)
        assert sorted([*sent, *names(list(lanes))]) == sorted(names(jobs))

    @pytest.mark.parametrize("kind", ["solo", "verbatim"])
    def test_what_may_share_no_call_leaves_at_once(self, make: Callable[[int], Policy], kind: Kind) -> None:
        batch = make(WAIT_MS).take(at(0), lanes_of([make_job("companion", at=1), make_job("alone", kind=kind, at=2)]))

        assert batch is not None
        assert names(batch.jobs) == ["alone"]

    @given(jobs=JOBS.filter(bool), shape=SHAPES, is_idle=st.booleans())
    def test_when_a_wait_is_over_the_oldest_job_leaves(
        self, make: Callable[[int], Policy], jobs: list[Job], shape: BatchShape, *, is_idle: bool
    ) -> None:
        policy, lanes = make(WAIT_MS), lanes_of(jobs)
        due_ms = policy.due_ms(lanes)
        assert due_ms is not None
        oldest_ms = min(job.header.at for job in jobs)
        assert due_ms <= oldest_ms + WAIT_MS

        batch = policy.take(at(max(due_ms, oldest_ms), shape=shape, is_idle=is_idle), lanes)

        assert batch is not None
        assert batch.oldest_ms == oldest_ms

    @given(
        arrivals=st.lists(
            st.tuples(
                st.integers(0, 8),
                st.sampled_from([0, 0, 0, 3, 20]),
                st.sampled_from(["merge", "merge", "merge", "solo"]),
                st.integers(1, 6),
                st.booleans(),
            ),
            max_size=40,
        ),
        idles=st.lists(st.booleans(), min_size=1, max_size=5),
    )
    def test_a_job_never_waits_longer_than_the_maximum(
        self,
        make: Callable[[int], Policy],
        arrivals: list[tuple[int, int, Kind, int, bool]],
        idles: list[bool],
    ) -> None:
        """A loop that always has a slot, and looks at each arrival and whenever `due_ms` says so."""
        policy, lanes = make(WAIT_MS), lanes_of([])
        left_ms: dict[str, int] = {}
        looks = 0

        def look(now_ms: int) -> None:
            nonlocal looks
            while True:
                looks += 1
                batch = policy.take(at(now_ms, is_idle=idles[looks % len(idles)]), lanes)
                if batch is None:
                    return
                assert len(batch.jobs) == 1 or 0 < batch.inputs <= FOUR.inputs_max
                for name in names(batch.jobs):
                    assert name not in left_ms
                    left_ms[name] = now_ms

        def look_until(end_ms: int) -> None:
            while (due_ms := policy.due_ms(lanes)) is not None and due_ms < end_ms:
                look(due_ms)
                assert policy.due_ms(lanes) != due_ms

        now_ms, latest_ms = 0, {}
        for number, (gap_ms, late_ms, kind, n, has_options) in enumerate(arrivals):
            look_until(now_ms + gap_ms)
            now_ms += gap_ms
            arrival_ms = now_ms - late_ms  # stamped by its worker so long before it came here
            latest_ms[str(number)] = max(arrival_ms + WAIT_MS, now_ms)
            options = UNNORMALIZED if has_options else None
            lanes.add(make_job(str(number), n=n, at=arrival_ms, kind=kind, options=options))
            look(now_ms)
        look_until(FAR_MS)

        assert latest_ms.keys() == left_ms.keys()
        assert [name for name, latest in latest_ms.items() if left_ms[name] > latest] == []


def test_always_eight_sends_eight() -> None:
    policy, lanes = AlwaysEight(WAIT_MS), lanes_of([make_job(str(number)) for number in range(20)])
    roomy = at(0, limits=Limits(32, ANY, ANY))
    batches = [policy.take(roomy, lanes) for _ in range(3)]

    assert [8, 8, None] == [batch and batch.inputs for batch in batches]


@pytest.mark.parametrize("name", POLICIES)
def test_each_row_of_the_table_names_a_policy_and_says_what_it_is(name: str) -> None:
    assert policy_named(name, WAIT_MS).due_ms(lanes_of([])) is None
    assert POLICIES[name].meaning


@given(wait_max_ms=st.integers(0, 10_000))
def test_the_longest_wait_is_the_policys(wait_max_ms: int) -> None:
    for name in POLICIES:
        assert policy_named(name, wait_max_ms).due_ms(lanes_of([make_job("a", at=7)])) == 7 + wait_max_ms


TEN_MS_EACH = CallCost(flat_s=0.02, per_unit_s=0.0001)


def taken_at_once(policy: Policy, now: CallMoment, jobs: int) -> list[int]:
    """Return the sizes of the batches that leave while places are idle, of jobs of 100 characters."""
    lanes = lanes_of([make_job(str(number), longest=100) for number in range(jobs)])
    sizes = []
    for idle_places in range(now.idle_places, 0, -1):
        batch = policy.take(msgspec.structs.replace(now, idle_places=idle_places), lanes)
        sizes.append(batch.inputs if batch else 0)
    return sizes


@pytest.mark.parametrize(
    ("cost", "sizes"),
    [
        (TEN_MS_EACH, [3, 3, 2]),
        (
            msgspec.structs.replace(TEN_MS_EACH, per_unit_s=0.000003),
            [4, 4, 0],
        ),  # 2.4 ms in all: two calls of more than 1 ms
        (msgspec.structs.replace(TEN_MS_EACH, per_unit_s=0.0), [8, 0, 0]),
    ],
    ids=["much to compute", "little to compute", "nothing to compute"],
)
def test_idle_places_share_what_waits_where_there_is_much_to_compute(cost: CallCost, sizes: list[int]) -> None:
    now = at(0, limits=replace(FOUR, inputs_max=32), is_idle=True, idle_places=3, cost=cost)

    assert sizes == taken_at_once(policy_named("adaptive", WAIT_MS), now, jobs=8)


def test_calls_that_are_counted_are_not_shared() -> None:
    limits = replace(FOUR, inputs_max=32, are_calls_counted=True)
    now = at(0, limits=limits, is_idle=True, idle_places=3, cost=TEN_MS_EACH)

    assert [8, 0, 0] == taken_at_once(policy_named("adaptive", WAIT_MS), now, jobs=8)


def test_under_full_what_is_full_leaves_whole_though_places_are_idle() -> None:
    now = at(0, is_idle=True, idle_places=3, cost=TEN_MS_EACH)

    assert [4, 4, 0] == taken_at_once(policy_named("full", WAIT_MS), now, jobs=8)
