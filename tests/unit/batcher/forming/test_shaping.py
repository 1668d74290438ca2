"""Batches of like length: within every limit, and no job is left behind for it."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.calling.calls import call_for
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming import shaping
from autobatch_batcher.forming.lanes import Reason, why_full
from autobatch_batcher.forming.shaping import WINDOW_MIN
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.cost import CallCost, CostLaw
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits
from autobatch_shared.contract.options import Options
from tests.unit.builders import UNNORMALIZED, make_job, names

ANY = 10**9
BY_ARRIVAL = BatchShape(None, None)

LIMITS = st.builds(
    Limits,
    st.integers(1, 12),
    st.one_of(st.just(ANY), st.integers(20, 400)),
    in_flight_inputs_max=st.just(ANY),
    batch_tokens_max=st.one_of(st.just(ANY), st.integers(1, 500)),
    pass_inputs_max=st.one_of(st.just(ANY), st.integers(1, 8)),
    are_calls_counted=st.booleans(),
)
SHAPES = st.builds(
    BatchShape,
    padding_max=st.one_of(st.none(), st.just(0.0), st.floats(0, 500)),
    units_max=st.one_of(st.none(), st.integers(1, 2_000)),
    knee_units=st.one_of(st.just(0.0), st.floats(0, 1_000)),
    law=st.sampled_from(CostLaw),
)
LENGTHS = st.one_of(st.sampled_from([0, 1, 7, 100, 101]), st.integers(0, 300))
SIZES = st.sampled_from([1, 1, 1, 1, 2, 3, 15])
JOBS = st.lists(st.tuples(SIZES, LENGTHS), min_size=1, max_size=40).map(
    lambda drawn: [make_job(str(place), n=n, longest=longest) for place, (n, longest) in enumerate(drawn)]
)
OPTIONS = st.sampled_from([None, UNNORMALIZED])


def pick(jobs: list[Job], limits: Limits, shape: BatchShape) -> list[Job]:
    return shaping.pick(jobs, limits, shape, Tei().envelope_bytes(jobs[0].header.options))


def of_lengths(*lengths: int) -> list[Job]:
    return [make_job(f"{place}", longest=longest) for place, longest in enumerate(lengths)]


def limit(inputs_max: int, body_bytes_max: int = ANY) -> Limits:
    return Limits(inputs_max, body_bytes_max, ANY)


def inputs_of(jobs: list[Job]) -> int:
    return sum(job.header.n for job in jobs)


def longest_of(jobs: list[Job]) -> int:
    return max(job.longest for job in jobs)


def useful_of(jobs: list[Job]) -> int:
    return sum(job.units for job in jobs)


def padded_of(jobs: list[Job]) -> float:
    """What lengths may be wrong by is no difference."""
    squares = sum(job.units**2 / job.header.n for job in jobs)
    return shaping.likely_padded(inputs_of(jobs), longest_of(jobs), useful_of(jobs), squares)


@given(jobs=JOBS, limits=LIMITS, shape=SHAPES)
def test_the_oldest_goes_and_no_job_goes_twice(jobs: list[Job], limits: Limits, shape: BatchShape) -> None:
    picked = pick(jobs, limits, shape)

    assert any(job is jobs[0] for job in picked)
    assert len(picked) == len({job.header.id for job in picked})
    assert {job.header.id for job in picked} <= {job.header.id for job in jobs}


def calls_of(sizes: list[int], limits: Limits, held_inputs: int) -> int:
    """How many calls requests of these sizes take, of which so many inputs are held to choose from."""
    coming = [make_job(f"{place}", n=n) for place, n in enumerate(sizes)]
    held: list[Job] = []
    for calls in itertools.count():
        while coming and inputs_of(held) < held_inputs:
            held.append(coming.pop(0))
        if not held:
            return calls
        taken = {job.header.id for job in pick(held, limits, BY_ARRIVAL)}
        held = [job for job in held if job.header.id not in taken]
    raise AssertionError


def test_counted_calls_of_requests_with_one_to_eight_inputs_are_a_twentieth_more_than_the_fewest() -> None:
    sizes = random.Random(7).choices(range(1, 9), k=2_000)
    uncounted, fewest = limit(8), sum(sizes) / 8

    assert calls_of(sizes, replace(uncounted, are_calls_counted=True), 64) < 1.05 * fewest
    assert calls_of(sizes, uncounted, 64) > 1.05 * fewest


@given(jobs=JOBS, limits=LIMITS, shape=SHAPES)
def test_jobs_are_left_as_they_were(jobs: list[Job], limits: Limits, shape: BatchShape) -> None:
    before = list(jobs)

    pick(jobs, limits, shape)

    assert before == jobs


@given(drawn=JOBS, limits=LIMITS, shape=SHAPES, options=OPTIONS)
def test_every_limit_holds_unless_one_job_alone_exceeds_it(
    drawn: list[Job], limits: Limits, shape: BatchShape, options: Options | None
) -> None:
    """Bytes are those of the call as it goes over the wire: a byte more than PAYLOAD_LIMIT, and TEI refuses it."""
    jobs = [make_job(str(p), n=job.header.n, longest=job.longest, options=options) for p, job in enumerate(drawn)]

    picked = pick(jobs, limits, shape)

    if len(picked) > 1:
        assert inputs_of(picked) <= limits.inputs_max
        assert len(call_for(picked).post(Tei()).body) <= limits.body_bytes_max
        padded, summed = (inputs_of(picked) + 1) * longest_of(picked), useful_of(picked) + longest_of(picked)
        assert shape.units_max is None or shape.law.units(padded, summed, inputs_of(picked) + 1) <= shape.units_max
        assert shape.may_pad(padded_of(picked), useful_of(picked))


@given(jobs=JOBS, limits=LIMITS, shape=SHAPES)
def test_companions_of_another_length_come_from_the_older_third(
    jobs: list[Job], limits: Limits, shape: BatchShape
) -> None:
    """So no job is overtaken by more than a third of what waits."""
    picked = pick(jobs, limits, shape)

    if names(picked) != names(pick(jobs, limits, BY_ARRIVAL)) and shape.units_max is None:
        window = jobs[: max(WINDOW_MIN, (len(jobs) + 2) // 3)]
        assert set(names(picked)) <= set(names(window))


@given(count=st.integers(1, 40), longest=LENGTHS, limits=LIMITS, padding_max=st.floats(0, 500))
def test_equal_lengths_go_in_the_order_of_arrival(count: int, longest: int, limits: Limits, padding_max: float) -> None:
    jobs = of_lengths(*[longest] * count)

    assert names(pick(jobs, limits, BY_ARRIVAL)) == names(pick(jobs, limits, BatchShape(padding_max, None)))


@given(count=st.integers(1, 40), inputs_max=st.integers(1, 40), longest=LENGTHS)
def test_equal_lengths_fill_a_batch(count: int, inputs_max: int, longest: int) -> None:
    jobs = of_lengths(*[longest] * count)

    assert names(jobs)[:inputs_max] == names(pick(jobs, limit(inputs_max), BatchShape(0.0, None)))


@given(jobs=JOBS, limits=LIMITS)
def test_where_lengths_do_not_count_they_change_nothing(jobs: list[Job], limits: Limits) -> None:
    same = [make_job(name, n=job.header.n) for name, job in zip(names(jobs), jobs, strict=True)]

    limits = replace(limits, batch_tokens_max=ANY)
    assert names(pick(same, limits, BY_ARRIVAL)) == names(pick(jobs, limits, BY_ARRIVAL))


def test_like_lengths_go_together_and_the_oldest_decides_which() -> None:
    jobs = of_lengths(100, 10, 100, 10, 100, 10, 100, 10)

    assert ["0", "2", "4", "6"] == names(pick(jobs, limit(8), BatchShape(20.0, None)))
    assert ["1", "3", "5", "7"] == sorted(names(pick(jobs[1:], limit(8), BatchShape(20.0, None))))


def test_of_lengths_that_differ_no_more_go_than_the_upstream_computes_at_once() -> None:
    """A pass with what is left would be filled with the next call's, of any length."""
    jobs = of_lengths(100, 10, 10, *[100] * 5)
    limits = replace(limit(8), pass_inputs_max=4)

    assert 6 == len(pick(jobs, limit(8), BatchShape(20.0, None)))
    assert 4 == len(pick(jobs, limits, BatchShape(20.0, None)))
    assert 8 == len(pick(of_lengths(*[100] * 12), limits, BatchShape(20.0, None)))


def test_padding_below_the_price_of_a_call_is_no_reason_for_another_call() -> None:
    jobs = of_lengths(40, 90, 100)

    assert ["0", "1", "2"] == names(pick(jobs, limit(8), BatchShape(33.0, None)))
    assert ["0", "1"] == names(pick(jobs, limit(8), BatchShape(32.0, None)))


@pytest.mark.parametrize("words", [3, 6, 12, 25, 100])
def test_texts_of_equally_many_words_fill_a_batch_though_padding_costs(words: int) -> None:
    """English words with their spaces have 6.2 characters, give or take 2.6."""
    chance = random.Random(words)
    jobs = of_lengths(*[round(sum(chance.gauss(6.2, 2.6) for _ in range(words))) for _ in range(64)])

    assert names(jobs)[:32] == names(pick(jobs, limit(32), BatchShape(50.0, None)))


@given(lengths=st.lists(st.integers(0, 300), min_size=1, max_size=20))
def test_what_is_likely_padded_to_is_between_the_sum_and_the_longest_of_all(lengths: list[int]) -> None:
    useful, squares = sum(lengths), sum(length**2 for length in lengths)

    padded = shaping.likely_padded(len(lengths), max(lengths), useful, squares)

    assert 0.875 * useful <= padded <= len(lengths) * max(lengths) * 0.875 + 1e-9


def test_a_long_job_does_not_go_with_a_hundred_short_ones() -> None:
    jobs = of_lengths(5, *[5] * 50, 5_000, *[5] * 49)

    assert "51" not in names(pick(jobs, limit(101), BatchShape(4_000.0, None)))


def test_a_batch_is_no_larger_than_pays() -> None:
    """(3 + 1) x 100 is within 400, another input is not."""
    assert ["0", "1", "2"] == names(pick(of_lengths(100, 100, 100, 100), limit(8), BatchShape(None, 400)))


def test_where_lengths_are_summed_a_batch_is_as_large_by_their_sum() -> None:
    """100 + 10 + 10 and one more of 100 are within 220."""
    jobs = of_lengths(100, 10, 10, 10)

    assert ["0", "1", "2"] == names(pick(jobs, limit(8), BatchShape(None, 220, law=CostLaw.SUMMED)))
    assert ["0"] == names(pick(jobs, limit(8), BatchShape(None, 220, law=CostLaw.PADDED)))


def test_up_to_the_knee_padding_costs_nothing() -> None:
    jobs = of_lengths(100, 10, 10, 10)

    assert ["0", "1", "2", "3"] == sorted(names(pick(jobs, limit(8), BatchShape(0.0, None, knee_units=350))))
    assert ["0"] == names(pick(jobs, limit(8), BatchShape(0.0, None)))


@given(
    lengths=st.lists(st.integers(1, 300), min_size=2, max_size=20),
    flat_s=st.floats(0.001, 1),
    per_unit_s=st.floats(1e-5, 1e-3),
    knee=st.floats(0, 3_000),
)
def test_a_batch_may_cost_no_more_than_two_of_half_its_inputs_without_padding(
    lengths: list[int], flat_s: float, per_unit_s: float, knee: float
) -> None:
    cost = CallCost(flat_s, per_unit_s, knee)
    padded, useful = len(lengths) * max(lengths), sum(lengths)

    may_pad = BatchShape(flat_s / per_unit_s, None, knee).may_pad(padded, useful)

    assert may_pad == (cost.seconds(padded) <= 2 * cost.seconds(useful / 2) * (1 + 1e-9))


@pytest.mark.parametrize("jobs_waiting", [3, 40])
def test_a_job_beyond_every_limit_goes_alone(jobs_waiting: int) -> None:
    giant = make_job("giant", n=50, longest=10_000)
    jobs = [giant, *of_lengths(*[10] * jobs_waiting)]

    assert ["giant"] == names(pick(jobs, limit(8, 50), BatchShape(64.0, 100)))


def test_one_that_is_too_big_does_not_keep_smaller_ones_from_the_room() -> None:
    jobs = [make_job("a", n=2), make_job("too big", n=7), make_job("b"), make_job("c")]

    assert ["a", "b", "c"] == names(pick(jobs, limit(8), BY_ARRIVAL))


def test_room_is_offered_to_all_that_wait() -> None:
    jobs = [make_job("a"), make_job("too big", n=2), make_job("b")]

    assert ["a", "b"] == names(pick(jobs, limit(2), BY_ARRIVAL))


@given(seed=st.integers(0, 10_000), jobs_held=st.integers(2, 40), inputs_max=st.integers(1, 9), shape=SHAPES)
def test_no_job_waits_for_more_batches_than_there_were_older_jobs(
    seed: int, jobs_held: int, inputs_max: int, shape: BatchShape
) -> None:
    """A queue that is full again after each batch, with the lengths that the job which waits longest likes least."""
    chance = random.Random(seed)
    limits = limit(inputs_max)
    jobs: list[Job] = []
    latest: dict[str, int] = {}
    made = 0
    for batches in range(60):
        while len(jobs) < jobs_held:
            likely = jobs[0].longest if jobs and chance.random() < 0.8 else chance.choice([1, 20, 400])
            # of the same length as the oldest, so that these and not the odd ones in between are its companions
            latest[f"w.{made}"] = batches + len(jobs) + 1
            jobs.append(make_job(str(made), n=chance.choice([1, 1, 2]), longest=likely))
            made += 1
        for job in pick(jobs, limits, shape):
            assert batches + 1 <= latest[job.header.id]
            jobs.remove(job)


@given(jobs=JOBS, limits=LIMITS, units_max=st.none() | st.integers(1, 2_000))
def test_what_is_not_full_goes_as_a_whole(jobs: list[Job], limits: Limits, units_max: int | None) -> None:
    """But for what a call adds to the bytes of its bodies."""
    roomy = Limits(limits.inputs_max, limits.body_bytes_max + 100, ANY)
    shape = BatchShape(None, units_max)

    if not why_full(jobs, limits, shape):
        assert names(jobs) == names(pick(jobs, roomy, shape))


@given(jobs=JOBS, limits=LIMITS, units_max=st.none() | st.integers(1, 2_000))
def test_a_lane_from_which_something_stays_for_want_of_room_was_full(
    jobs: list[Job], limits: Limits, units_max: int | None
) -> None:
    shape = BatchShape(None, units_max)

    if len(pick(jobs, Limits(limits.inputs_max, ANY, ANY), shape)) < len(jobs):
        assert why_full(jobs, limits, shape)


@given(jobs=JOBS, limits=LIMITS, shape=SHAPES, more=JOBS)
def test_a_full_lane_stays_full_whatever_joins(
    jobs: list[Job], limits: Limits, shape: BatchShape, more: list[Job]
) -> None:
    if why_full(jobs, limits, shape):
        assert why_full([*jobs, *more], limits, shape)


def test_nothing_is_not_full() -> None:
    assert not why_full([], limit(1), BY_ARRIVAL)


def tokens_of(jobs: list[Job], law: CostLaw) -> float:
    return law.tokens(inputs_of(jobs) * longest_of(jobs), useful_of(jobs)) / jobs[0].per_token


@given(jobs=JOBS, limits=LIMITS, shape=SHAPES)
def test_no_batch_has_more_tokens_than_a_call_may_have(jobs: list[Job], limits: Limits, shape: BatchShape) -> None:
    picked = pick(jobs, limits, shape)

    assert len(picked) == 1 or tokens_of(picked, shape.law) <= limits.batch_tokens_max


@pytest.mark.parametrize(
    ("is_in_tokens", "law", "expected"),
    [
        (True, CostLaw.PADDED, ["0", "1"]),  # three of the longest would be 90
        (True, CostLaw.SUMMED, ["0", "1", "2"]),
        (False, CostLaw.PADDED, ["0", "1", "2", "3"]),  # about seven tokens each
    ],
)
def test_tokens_are_counted_as_the_upstream_computes_them(
    *, is_in_tokens: bool, law: CostLaw, expected: list[str]
) -> None:
    jobs = [make_job(str(n), longest=longest, is_in_tokens=is_in_tokens) for n, longest in enumerate((10, 30, 29, 30))]
    limits = Limits(8, ANY, ANY, batch_tokens_max=70)

    assert expected == names(pick(jobs, limits, BatchShape(None, None, law=law)))


def test_a_lane_is_full_when_one_more_like_its_longest_would_be_too_many_tokens() -> None:
    jobs = [make_job(str(n), longest=10, is_in_tokens=True) for n in range(3)]

    assert why_full(jobs, Limits(8, ANY, ANY, batch_tokens_max=39), BY_ARRIVAL)
    assert not why_full(jobs, Limits(8, ANY, ANY, batch_tokens_max=40), BY_ARRIVAL)


def test_an_input_that_alone_is_too_long_is_sent_alone() -> None:
    jobs = [make_job("long", longest=100, is_in_tokens=True), make_job("short", longest=1, is_in_tokens=True)]

    assert ["long"] == names(pick(jobs, Limits(8, ANY, ANY, batch_tokens_max=50), BY_ARRIVAL))


def test_a_batch_is_full_by_the_upstreams_limits_and_shaped_by_what_calls_cost() -> None:
    jobs = [make_job("a", longest=10), make_job("b", longest=10)]
    assert Reason.FULL is why_full(jobs, limit(2), BY_ARRIVAL)
    assert Reason.SHAPED is why_full(jobs, limit(32), BatchShape(None, 20))
    assert None is why_full(jobs, limit(32), BatchShape(None, 2_000))
