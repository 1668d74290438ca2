"""Batches are what they should be, whatever arrives and whenever the loop looks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.calling.calls import call_for, merge
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming.lanes import Batch, Lanes, Reason, batch_of
from autobatch_batcher.forming.policy import CallMoment, policy_named
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.recent_calls import NO_CALL_SEEN
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits, configured
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.options import Options
from tests.unit.builders import FAR_MS, UNNORMALIZED, Kind, make_job, names

WAIT_MS = 10
ANY_BYTES = 10**9
SMALL = Limits(inputs_max=4, body_bytes_max=ANY_BYTES, in_flight_inputs_max=ANY_BYTES)
BUSY, IDLE = False, True
BY_ARRIVAL = BatchShape(None, None)


@dataclass
class Moment:
    """A moment at which a batch may leave, whatever its limits are."""

    now_ms: int
    is_idle: bool
    is_draining: bool

    def with_limits(self, limits: Limits, shape: BatchShape) -> CallMoment:
        return CallMoment(
            limits=limits,
            shape=shape,
            room_inputs=UNKNOWN_MAX,
            now_ms=self.now_ms,
            is_idle=self.is_idle,
            busy_ms=0.0,
            is_draining=self.is_draining,
        )


class Forming:
    """Lanes and the policy that decides when they give a batch."""

    def __init__(self, *, is_adaptive: bool = True) -> None:
        self.lanes = Lanes(Tei().envelope_bytes)
        self.add = self.lanes.add
        self.clear = self.lanes.clear
        self.has_whole = self.lanes.has_whole
        self.take_expired = self.lanes.take_expired
        self._policy = policy_named("adaptive" if is_adaptive else "full", WAIT_MS)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.lanes)

    @property
    def inputs(self) -> int:
        return self.lanes.inputs

    def due_ms(self) -> int | None:
        return self._policy.due_ms(self.lanes)

    def take(self, now: Moment, limits: Limits, shape: BatchShape) -> Batch | None:
        return self._policy.take(now.with_limits(limits, shape), self.lanes)


def moment(now_ms: int, *, is_idle: bool = BUSY, is_draining: bool = False) -> Moment:
    return Moment(now_ms, is_idle, is_draining)


def lanes_of(*jobs: Job, is_adaptive: bool = True) -> Forming:
    lanes = Forming(is_adaptive=is_adaptive)
    for job in jobs:
        lanes.add(job)
    return lanes


def taken(lanes: Forming, now: Moment, limits: Limits = SMALL) -> tuple[list[str], Reason] | None:
    batch = lanes.take(now, limits, BY_ARRIVAL)
    return None if batch is None else (names(batch.jobs), batch.reason)


# What the module promises, written a second time and with no regard to speed.


def may_share(job: Job, other: Job) -> bool:
    """Whether the contract lets two different jobs travel in one call."""
    alone = any(each.header.kind != "merge" or each.is_suspect for each in (job, other))
    same = (job.header.route, job.header.options) == (other.header.route, other.header.options)
    return same and not alone


def groups(held: Sequence[Job]) -> list[list[Job]]:
    """The held jobs as they could travel, each group in order of arrival."""
    found: list[list[Job]] = []
    for job in held:
        home = next((group for group in found if may_share(group[0], job)), None)
        if home is None:
            found.append([job])
        else:
            home.append(job)
    return found


def inputs_of(jobs: Sequence[Job]) -> int:
    return sum(job.header.n for job in jobs)


def bytes_of(jobs: Sequence[Job]) -> int:
    return sum(len(job.body) for job in jobs)


def fits(jobs: Sequence[Job], limits: Limits) -> bool:
    return inputs_of(jobs) <= limits.inputs_max and bytes_of(jobs) <= limits.body_bytes_max


def is_full(group: Sequence[Job], limits: Limits) -> bool:
    return inputs_of(group) >= limits.inputs_max or bytes_of(group) >= limits.body_bytes_max


def must_go_alone(job: Job) -> bool:
    return not may_share(job, job)


@dataclass
class Step:
    """One thing that happens to the lanes."""

    what: str
    gap_ms: int
    kind: Kind
    is_suspect: bool
    options: Options | None
    n: int
    body_hundreds: int
    patience_ms: int
    late_ms: int
    is_idle: bool
    is_draining: bool
    limits: Limits


# Bodies of whole hundreds of bytes, and limits half way between them: what a call adds to its bodies decides nothing.
LIMITS = st.builds(Limits, st.integers(1, 8), st.integers(0, 6).map(lambda h: 100 * h + 50), st.just(ANY_BYTES))
STEPS = st.builds(
    Step,
    what=st.sampled_from(["add", "add", "add", "take", "expire"]),
    gap_ms=st.integers(0, 6),
    kind=st.sampled_from(["merge", "merge", "merge", "merge", "solo", "verbatim"]),
    is_suspect=st.sampled_from([False, False, False, True]),
    options=st.sampled_from([None, UNNORMALIZED]),
    n=st.sampled_from([1, 1, 1, 2, 3, 10]),
    body_hundreds=st.sampled_from([1, 1, 2, 3, 7]),
    patience_ms=st.integers(0, 40),
    late_ms=st.sampled_from([0, 0, 0, 4]),
    is_idle=st.booleans(),
    is_draining=st.sampled_from([False, False, False, True]),
    limits=LIMITS,
)


@dataclass
class LanesModel:
    """Everything that was added and has not come out again, in order of arrival, which may not be the order of adding."""

    held: list[Job] = field(default_factory=list)
    gone: list[Job] = field(default_factory=list)

    def add(self, job: Job) -> None:
        self.held = sorted([*self.held, job], key=lambda held: held.header.at)

    def ready(self, now: Moment, limits: Limits, *, is_adaptive: bool) -> list[list[Job]]:
        """The groups that should leave now."""
        if now.is_draining or (is_adaptive and now.is_idle):
            return groups(self.held)
        return [
            group
            for group in groups(self.held)
            if must_go_alone(group[0]) or is_full(group, limits) or group[0].header.at + WAIT_MS <= now.now_ms
        ]

    def remove(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.held = [kept for kept in self.held if kept is not job]
            self.gone.append(job)


@pytest.mark.parametrize("is_adaptive", [True, False], ids=["adaptive", "full"])
@given(steps=st.lists(STEPS, max_size=20))
def test_whatever_happens_batches_keep_the_rules(*, steps: list[Step], is_adaptive: bool) -> None:
    """Order kept, nothing lost or doubled, limits held, the ready lane with the oldest job first, no job starved."""
    lanes, model, now_ms = Forming(is_adaptive=is_adaptive), LanesModel(), 0
    for number, step in enumerate(steps):
        now_ms += step.gap_ms
        if step.what == "add":
            job = make_job(
                str(number),
                n=step.n,
                at=now_ms - step.late_ms,
                deadline=now_ms + step.patience_ms,
                kind=step.kind,
                options=step.options,
                body=b"%d" % number + b"1" * (100 * step.body_hundreds - len(str(number))),
                is_suspect=step.is_suspect,
            )
            lanes.add(job)
            model.add(job)
        elif step.what == "take":
            now = Moment(now_ms, step.is_idle, step.is_draining)
            check_take(lanes, model, now, step.limits, is_adaptive=is_adaptive)
        else:
            expected = [job for job in model.held if job.header.deadline <= now_ms]
            expired = lanes.take_expired(now_ms, NO_CALL_SEEN)
            assert sorted(names(expected)) == sorted(names(expired))
            assert lanes.take_expired(now_ms, NO_CALL_SEEN) == []
            model.remove(expired)
        check_books(lanes, model, step.limits)


def check_take(lanes: Forming, model: LanesModel, now: Moment, limits: Limits, *, is_adaptive: bool) -> None:
    ready = model.ready(now, limits, is_adaptive=is_adaptive)
    batch = lanes.take(now, limits, BY_ARRIVAL)
    if batch is None:
        assert ready == []
        return
    jobs = list(batch.jobs)
    home = next(group for group in ready if group[0] is jobs[0])  # so the oldest of its lane is in it
    assert jobs[0].header.at == min(group[0].header.at for group in ready)
    assert [job for job in home if job in jobs] == jobs
    assert len({id(job) for job in jobs}) == len(jobs)
    assert len(jobs) == 1 or fits(jobs, limits)
    assert batch.inputs == inputs_of(jobs)
    model.remove(jobs)
    for left in home:
        assert left in jobs or not fits([*jobs, left], limits)


def check_books(lanes: Forming, model: LanesModel, limits: Limits) -> None:
    assert sorted(map(id, lanes)) == sorted(map(id, model.held))
    assert lanes.inputs == inputs_of(model.held)
    assert lanes.has_whole(limits, BY_ARRIVAL) == any(
        is_full(group, limits) or group[0].lane == group[0].header.id for group in groups(model.held)
    )
    assert lanes.due_ms() == min((job.header.at + WAIT_MS for job in model.held), default=None)


def test_a_job_that_arrived_out_of_order_waits_no_longer_either() -> None:
    """Workers stamp jobs before they push them, so an older job can be claimed after a younger one of its lane."""
    lanes = lanes_of(make_job("younger", at=8), make_job("older", at=5), is_adaptive=False)

    assert lanes.due_ms() == 5 + WAIT_MS
    assert taken(lanes, moment(5 + WAIT_MS)) == (["older", "younger"], Reason.DUE)


def test_the_lane_with_the_oldest_job_goes_first_though_a_younger_one_was_claimed_before_it() -> None:
    lanes = lanes_of(
        make_job("younger", at=8), make_job("oldest", at=5), make_job("other lane", at=6, options=UNNORMALIZED)
    )

    assert taken(lanes, moment(20)) == (["oldest", "younger"], Reason.DUE)


def test_under_full_nothing_leaves_before_its_time_though_the_upstream_is_idle() -> None:
    lanes = lanes_of(make_job("a", at=5), is_adaptive=False)

    assert taken(lanes, moment(4 + WAIT_MS, is_idle=IDLE)) is None
    assert taken(lanes, moment(5 + WAIT_MS, is_idle=IDLE)) == (["a"], Reason.DUE)


def test_under_adaptive_nothing_waits_for_an_idle_upstream() -> None:
    assert taken(lanes_of(make_job("a", at=5)), moment(5, is_idle=IDLE)) == (["a"], Reason.IDLE)


def test_under_adaptive_a_busy_upstream_is_a_reason_to_wait() -> None:
    lanes = lanes_of(make_job("a", at=5))

    assert taken(lanes, moment(4 + WAIT_MS)) is None
    assert taken(lanes, moment(5 + WAIT_MS)) == (["a"], Reason.DUE)


def test_a_draining_batcher_waits_for_no_companions() -> None:
    lanes = lanes_of(make_job("a"), is_adaptive=False)

    assert taken(lanes, moment(0, is_draining=True)) == (["a"], Reason.DRAIN)


def test_a_full_batch_leaves_at_once() -> None:
    lanes = lanes_of(*(make_job(str(number), n=2) for number in range(3)), is_adaptive=False)

    assert taken(lanes, moment(0)) == (["0", "1"], Reason.FULL)
    assert taken(lanes, moment(0)) is None
    assert lanes.inputs == 2


def test_a_batch_is_full_when_the_next_job_would_not_fit() -> None:
    lanes = lanes_of(make_job("a", n=3), make_job("b", n=2), is_adaptive=False)

    assert lanes.has_whole(SMALL, BY_ARRIVAL)
    assert taken(lanes, moment(0)) == (["a"], Reason.FULL)


def test_a_job_too_big_for_any_batch_goes_alone() -> None:
    lanes = lanes_of(make_job("small"), make_job("big", n=9), make_job("late"), is_adaptive=False)

    assert taken(lanes, moment(0)) == (["small", "late"], Reason.FULL)
    assert taken(lanes, moment(0)) == (["big"], Reason.FULL)


def test_smaller_jobs_fill_the_room_that_a_bigger_one_leaves_but_not_twice() -> None:
    """The one that was passed over is the oldest of its lane next time, so it goes before whatever came since."""
    lanes = lanes_of(make_job("a", n=2), make_job("big", n=4), make_job("b", n=2), make_job("c", n=1))

    assert taken(lanes, moment(0)) == (["a", "b"], Reason.FULL)
    lanes.add(make_job("d", n=1))
    assert taken(lanes, moment(0)) == (["big"], Reason.FULL)
    assert taken(lanes, moment(0, is_idle=IDLE)) == (["c", "d"], Reason.IDLE)


def test_bytes_are_limited_as_inputs_are() -> None:
    limits = Limits(inputs_max=100, body_bytes_max=1050, in_flight_inputs_max=ANY_BYTES)
    sizes = {"a": 800, "b": 400, "c": 100}
    lanes = lanes_of(*(make_job(name, body=b"1" * size) for name, size in sizes.items()), is_adaptive=False)

    assert taken(lanes, moment(0), limits) == (["a", "c"], Reason.FULL)
    assert taken(lanes, moment(WAIT_MS), limits) == (["b"], Reason.DUE)


@pytest.mark.parametrize("options", [None, UNNORMALIZED])
def test_the_call_of_several_jobs_is_within_the_limit_of_bytes(options: Options | None) -> None:
    """PAYLOAD_LIMIT is the limit of the whole call, as TEI counts it: a byte more, and it answers 413 to all."""
    payload_limit = 1000
    for text_bytes in range(150, 250):
        bodies = [b'["%b"]' % (b"a" * size) for size in (text_bytes, 180, 180, 180, 180)]
        lanes = lanes_of(*(make_job(str(place), body=body, options=options) for place, body in enumerate(bodies)))

        batch = lanes.take(moment(0, is_draining=True), configured(100, payload_limit), BY_ARRIVAL)

        assert batch
        assert len(call_for(batch.jobs).post(Tei()).body) <= payload_limit
        assert len(batch.jobs) >= 4


@pytest.mark.parametrize("kind", ["solo", "verbatim"])
def test_solo_and_verbatim_jobs_leave_alone_and_at_once(kind: Kind) -> None:
    lanes = lanes_of(make_job("a", kind=kind), make_job("b"), make_job("c", kind=kind), is_adaptive=False)

    assert taken(lanes, moment(0)) == (["a"], Reason.ALONE)
    assert taken(lanes, moment(0)) == (["c"], Reason.ALONE)
    assert taken(lanes, moment(0)) is None


def test_a_suspect_leaves_alone_and_at_once() -> None:
    """It may be what killed its batchers."""
    lanes = lanes_of(make_job("a"), make_job("b", is_suspect=True), is_adaptive=False)

    assert taken(lanes, moment(0)) == (["b"], Reason.ALONE)
    assert taken(lanes, moment(WAIT_MS)) == (["a"], Reason.DUE)


@pytest.mark.parametrize("change", [{"options": UNNORMALIZED}, {"route": "/embed_all"}])
def test_other_options_or_another_route_is_another_call(change: dict[str, Any]) -> None:
    lanes = lanes_of(make_job("a", at=1), make_job("b", at=2, **change), make_job("c", at=3))

    assert taken(lanes, moment(9, is_idle=IDLE)) == (["a", "c"], Reason.IDLE)
    assert taken(lanes, moment(9, is_idle=IDLE)) == (["b"], Reason.IDLE)


def test_a_route_and_options_are_not_another_route_without_options() -> None:
    spliced = make_job("a", route="/embed", options=UNNORMALIZED)
    whole = make_job("b", route=f"/embed {UNNORMALIZED}")

    assert not may_share(spliced, whole)
    assert taken(lanes_of(spliced, whole), moment(0, is_idle=IDLE)) == (["a"], Reason.IDLE)


def test_of_ready_lanes_the_one_with_the_oldest_job_goes_first() -> None:
    """A full lane is no reason to let one wait whose time is over."""
    full = [make_job(str(number), n=2, at=3, options=UNNORMALIZED) for number in range(2)]
    lanes = lanes_of(*full, make_job("due", at=1), is_adaptive=False)

    assert taken(lanes, moment(1 + WAIT_MS)) == (["due"], Reason.DUE)
    assert taken(lanes, moment(1 + WAIT_MS)) == (["0", "1"], Reason.FULL)


def test_room_is_needed_for_the_oldest_job() -> None:
    lanes = lanes_of(make_job("b", n=2, at=2), make_job("a", n=7, at=1, kind="solo"), make_job("c", n=9, at=3)).lanes

    assert 7 == lanes.oldest_inputs()
    lanes.clear()
    assert 1 == lanes.oldest_inputs()


def test_expired_jobs_are_taken_out_once_and_never_sent() -> None:
    lanes = lanes_of(make_job("a", deadline=5), make_job("b", n=2, deadline=6), make_job("c", deadline=5, kind="solo"))

    assert lanes.take_expired(4, NO_CALL_SEEN) == []
    assert names(lanes.take_expired(5, NO_CALL_SEEN)) == ["a", "c"]
    assert lanes.take_expired(5, NO_CALL_SEEN) == []
    assert lanes.inputs == 2
    assert taken(lanes, moment(5, is_draining=True)) == (["b"], Reason.DRAIN)
    assert lanes.take_expired(FAR_MS, NO_CALL_SEEN) == []


def test_cleared_lanes_hold_nothing() -> None:
    lanes = lanes_of(make_job("a"), make_job("b", kind="solo"))

    lanes.clear()

    assert (list(lanes), lanes.inputs, lanes.due_ms(), lanes.has_whole(SMALL, BY_ARRIVAL)) == ([], 0, None, False)
    assert lanes.take(moment(FAR_MS, is_draining=True), SMALL, BY_ARRIVAL) is None


def test_a_batch_counts_inputs_not_jobs() -> None:
    assert batch_of([make_job("a", n=3), make_job("b", n=2)], Reason.FULL).inputs == 5


# With like lengths together, and identical inputs once.

TEXTS = st.sampled_from([b'["a"]', b'["b"]', b'["c","d"]', None, None, None])
WAITING = st.lists(
    st.tuples(
        TEXTS,
        st.sampled_from(["merge", "merge", "merge", "merge", "solo"]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([None, UNNORMALIZED]),
        st.integers(0, 300),
        st.sampled_from([1, 1, 2, 6]),
    ),
    max_size=40,
)
SHAPES = st.builds(BatchShape, padding_max=st.none() | st.floats(0, 500), units_max=st.none() | st.integers(1, 2_000))


def waiting_jobs(drawn: list[tuple[bytes | None, Kind, bool, Options | None, int, int]]) -> list[Job]:
    """Jobs in the order of arrival; of the same text the length is the same too."""
    return [
        make_job(
            str(place),
            n=n if body is None else body.count(b",") + 1,
            at=place,
            kind=kind,
            options=options,
            body=body,
            is_suspect=is_suspect,
            longest=longest if body is None else body[2],
        )
        for place, (body, kind, is_suspect, options, longest, n) in enumerate(drawn)
    ]


@given(drawn=WAITING, shape=SHAPES, inputs_max=st.integers(1, 8))
def test_however_batches_are_cut_nothing_is_lost_or_doubled(
    drawn: list[tuple[bytes | None, Kind, bool, Options | None, int, int]], shape: BatchShape, inputs_max: int
) -> None:
    jobs = waiting_jobs(drawn)
    limits = Limits(inputs_max, ANY_BYTES, ANY_BYTES)
    lanes = lanes_of(*jobs)
    left = list(jobs)
    while (batch := lanes.take(moment(FAR_MS), limits, shape)) is not None:
        sent = list(batch.jobs)
        assert any(job is left[0] for job in sent)
        assert batch.oldest_ms == left[0].header.at
        assert all(any(job is kept for kept in left) for job in sent)
        assert len(sent) == len(set(names(sent)))
        assert all(may_share(sent[0], job) for job in sent[1:])
        first_of_each = list({job.body: job for job in reversed(sent)}.values())
        assert len(first_of_each) == 1 or len(merge(sent).items) <= inputs_max
        assert merge(sent).items == merge([job for job in sent if job in first_of_each]).items
        left = [job for job in left if not any(job is gone for gone in sent)]
        assert [] == [job for job in left if may_share(sent[0], job) and job.body in {each.body for each in sent}]
        assert lanes.inputs == inputs_of(left)
    assert (left, lanes.inputs, list(lanes)) == ([], 0, [])


def test_who_waits_with_the_same_input_goes_along_however_full_the_batch_is() -> None:
    """It is computed once, so it costs nothing."""
    others = [make_job(str(place), body=b'["%d"]' % place) for place in range(4)]
    twins = [make_job(f"twin {place}", body=b'["0"]', at=place) for place in range(100)]
    lanes = lanes_of(*others, make_job("next", at=1), *twins)

    batch = lanes.take(moment(0, is_idle=IDLE), SMALL, BY_ARRIVAL)

    assert batch
    assert 4 == len(merge(batch.jobs).items)
    assert {*names(others), *names(twins)} == set(names(batch.jobs))
    assert 1 == lanes.inputs


def test_several_inputs_are_a_twin_of_the_same_several_only() -> None:
    pair = [make_job(name, n=2, body=b'["a","b"]', at=at) for name, at in (("pair", 0), ("twin", 9))]
    others = [make_job("turned", n=2, body=b'["b","a"]', at=8), make_job("part", body=b'["a"]', at=8)]
    lanes = lanes_of(*pair, make_job("full", n=2, at=1), *others)

    assert taken(lanes, moment(0, is_idle=IDLE)) == (["pair", "full", "twin"], Reason.FULL)


@pytest.mark.parametrize(
    "change", [{"options": UNNORMALIZED}, {"route": "/embed_all"}, {"kind": "solo"}, {"is_suspect": True}]
)
def test_the_same_text_with_other_options_or_alone_is_no_twin(change: dict[str, Any]) -> None:
    """Its answer may be another, and a suspect takes no other along."""
    texts: dict[str, Any] = {"body": b'["a"]'}
    lanes = lanes_of(
        make_job("a", **texts),
        make_job("other", at=1, **texts, **change),
        make_job("twin", at=2, **texts),
    )

    assert taken(lanes, moment(0, is_draining=True)) == (["a", "twin"], Reason.DRAIN)
    assert 1 == lanes.inputs


def test_jobs_of_like_length_go_together_and_the_oldest_first() -> None:
    shape = BatchShape(padding_max=20.0, units_max=None)
    lanes = lanes_of(*(make_job(str(at), at=at, longest=length) for at, length in enumerate([100, 10] * 4)))

    first, second = (lanes.take(moment(9, is_draining=True), Limits(8, ANY_BYTES, ANY_BYTES), shape) for _ in range(2))

    assert first
    assert second
    assert ({"0", "2", "4", "6"}, {"1", "3", "5", "7"}) == (set(names(first.jobs)), set(names(second.jobs)))


def test_a_lane_is_full_when_its_lengths_are_too_much_for_a_call() -> None:
    """(2 + 1) x 100 is more than 250."""
    lanes = lanes_of(*(make_job(str(at), at=at, longest=100) for at in range(2)), is_adaptive=False)

    assert lanes.has_whole(SMALL, BatchShape(None, 250))
    assert not lanes.has_whole(SMALL, BatchShape(None, 300))


def test_a_batch_knows_what_of_it_is_padding() -> None:
    batch = batch_of([make_job("a", n=2, longest=10, at=7), make_job("b", longest=30, at=3)], Reason.FULL)

    assert (30, 90, 50, 3) == (batch.longest, batch.units, batch.useful, batch.oldest_ms)


@pytest.mark.parametrize(
    ("held", "slots_free", "sendable"), [(0, 2, 64), (10, 2, 54), (63, 2, 1), (100, 2, 1), (0, 0, 1)]
)
def test_what_could_be_sent_now_is_what_the_free_slots_carry_beside_what_is_held(
    held: int, slots_free: int, sendable: int
) -> None:
    lanes = Lanes(Tei().envelope_bytes)
    if held:
        lanes.add(make_job("held", n=held))

    assert lanes.sendable(32, slots_free) == sendable


def test_bulk_work_waits_from_its_claim() -> None:
    """It has waited for spare capacity for long: by its arrival it would be before every single request."""
    lanes = lanes_of(make_job("bulk", at=1, claimed_ms=50, n=3), make_job("single", at=20), make_job("later", at=60))

    batch = lanes.take(moment(100, is_idle=True), SMALL, BY_ARRIVAL)

    assert batch is not None
    assert names(batch.jobs) == ["single", "bulk"]
    assert 60 + WAIT_MS == lanes.due_ms()


def test_a_batch_has_waited_as_long_as_the_job_that_has_used_most_of_its_time() -> None:
    batch = batch_of([make_job("a", at=0, deadline=1000), make_job("b", at=100, deadline=300)], Reason.FULL)

    assert 0.75 == batch.waited_share(250)
