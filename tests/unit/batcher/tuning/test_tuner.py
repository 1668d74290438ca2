"""What a call is charged for, and what is learnt from it."""

import random
from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from autobatch_batcher.tuning.climbing import UNITS_START, Setting
from autobatch_batcher.tuning.cost import CallCost, CostLaw, CostModel
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.tuning.tuner import CALLS_MAX, LOOK_EVERY_CALLS, Sample, Tuner
from autobatch_shared.contract.status import LearntCalls
from tests.unit.upstream_models import ModelledUpstream, drive

FIXED_S, PER_UNIT_S = 0.004, 13e-6
ANY = Setting(2)


def call(units: int, started_s: float, ended_s: float, *, setting: Setting = ANY, was_busy: bool = False) -> Sample:
    return Sample(setting, units, units, started_s, ended_s, was_busy)


def learnt_from(calls: list[tuple[int, float]]) -> tuple[float, float]:
    """Return what a cost model makes of (units, seconds)."""
    model = CostModel()
    for units, seconds in calls:
        model.note(units, units, seconds)
    return model.cost.flat_s, model.cost.flat_units


def learnt_by(tuner: Tuner) -> tuple[float, float]:
    return tuner.cost.flat_s, tuner.cost.flat_units


SIZES = st.lists(st.integers(1, 5_000), min_size=10, max_size=60)


@given(sizes=SIZES, in_flight=st.integers(1, 8))
def test_a_call_that_waited_behind_others_is_not_charged_for_that(sizes: list[int], in_flight: int) -> None:
    """An upstream that works on one call at a time costs the same, however many were sent to it."""
    tuner, ended_s = Tuner(8), [0.0] * in_flight
    for units in sizes:
        sent_s = ended_s[-in_flight]  # as soon as one of those in flight has ended
        ended_s.append(ended_s[-1] + FIXED_S + PER_UNIT_S * units)
        tuner.note(call(units, sent_s, ended_s[-1]))

    expected = learnt_from([(units, FIXED_S + PER_UNIT_S * units) for units in sizes])
    assert pytest.approx(expected, rel=1e-6, abs=1e-9) == learnt_by(tuner)


@given(sizes=SIZES, pauses_s=st.lists(st.floats(0, 10), min_size=60, max_size=60))
def test_a_pause_is_nobodys(sizes: list[int], pauses_s: list[float]) -> None:
    tuner, now_s = Tuner(1), 0.0
    for units, pause_s in zip(sizes, pauses_s, strict=False):
        started_s = now_s + pause_s
        now_s = started_s + FIXED_S + PER_UNIT_S * units
        tuner.note(call(units, started_s, now_s))

    expected = learnt_from([(units, FIXED_S + PER_UNIT_S * units) for units in sizes])
    assert pytest.approx(expected, rel=1e-6, abs=1e-9) == learnt_by(tuner)


def test_calls_that_run_at_the_same_time_share_the_time_they_take() -> None:
    """So what a block of calls took is what passed on the clock, however many were in flight."""
    tuner = Tuner(2)
    for tenth in range(10):
        tuner.note(call(100, tenth / 10, tenth / 10 + 0.02, was_busy=True))
        tuner.note(call(1_000, tenth / 10, tenth / 10 + 0.1, was_busy=True))

    assert pytest.approx(1) == tuner._climber._block.service_s


@pytest.mark.parametrize("in_flight", [4, 8, 32])
def test_calls_that_end_together_all_the_time_are_learnt_from(in_flight: int) -> None:
    """By the clock all but the first of them took no time, and no number of such calls ends the learning."""
    tuner, chance = Tuner(in_flight, is_fixed=True), random.Random(1)

    for round_number in range(1_000):
        for _ in range(in_flight):
            units = chance.randint(50, 5_000)
            tuner.note(call(units, round_number * 0.025, (round_number + 1) * 0.025, was_busy=True))

    assert 0 < tuner.cost.seconds(5_000) < 0.026


@pytest.mark.parametrize("servers", [2, 4])
def test_the_price_of_padding_is_found_though_calls_run_side_by_side(servers: int) -> None:
    """Or the batches of an upstream with two workers are of whatever length, and cost it three times the work."""
    tuner = Tuner(servers, is_fixed=True)

    drive(ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units, servers=servers, noise=0.02), 1_000, tuner)

    assert pytest.approx(FIXED_S / PER_UNIT_S, rel=0.5) == tuner.cost.flat_units


def test_the_price_of_padding_is_found_where_calls_wait_for_each_other() -> None:
    tuner = Tuner(4, is_fixed=True)

    drive(ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units, noise=0.02), 1_000, tuner)

    assert pytest.approx(FIXED_S / PER_UNIT_S, rel=0.5) == tuner.cost.flat_units


@given(unknown=st.lists(st.floats(0, 0.5), max_size=20))
def test_calls_of_unknown_length_teach_nothing(unknown: list[float]) -> None:
    tuner, before = Tuner(2), Tuner(2)
    now_s = 0.0
    for seconds in unknown:
        tuner.note(call(0, now_s, now_s + seconds, was_busy=True))
        now_s += seconds

    assert (before.setting, before.shape, learnt_by(before)) == (tuner.setting, tuner.shape, learnt_by(tuner))


def test_the_call_behind_one_of_unknown_length_is_not_charged_for_it() -> None:
    tuner, now_s, sizes = Tuner(2), 0.0, list(range(100, 3_000, 100))
    for units in sizes:
        ended_s = now_s + 5.0
        tuner.note(call(0, now_s, ended_s))
        tuner.note(call(units, now_s, ended_s + FIXED_S + PER_UNIT_S * units))
        now_s = ended_s + FIXED_S + PER_UNIT_S * units

    expected = learnt_from([(units, FIXED_S + PER_UNIT_S * units) for units in sizes])
    assert pytest.approx(expected, rel=1e-6) == learnt_by(tuner)


@given(st.lists(st.tuples(st.integers(1, 5_000), st.floats(0.01, 1)), max_size=200))
def test_a_fixed_tuner_calls_as_configured_whatever_it_hears(calls: list[tuple[int, float]]) -> None:
    tuner, now_s = Tuner(3, is_fixed=True), 0.0
    for units, seconds in calls:
        assert (Setting(3, None), BatchShape(None, None)) == (tuner.setting, tuner.shape)
        tuner.note(call(units, now_s, now_s + seconds, setting=tuner.setting, was_busy=True))
        now_s += seconds


SERIAL = ModelledUpstream(lambda units, _: 0.02 + PER_UNIT_S * units, noise=0.02)


def called(upstream: ModelledUpstream, calls: int = 200) -> Tuner:
    tuner = Tuner(2)
    drive(upstream, calls, tuner)
    return tuner


def test_of_an_upstream_that_works_on_one_call_at_a_time_it_is_known_when_the_next_will_be_begun() -> None:
    """And so a small call is not sent to wait there, while others could still join it."""
    tuner = called(SERIAL)

    behind = [tuner.ends_s(1.0, ends_s, 1_000, 900) for ends_s in (-inf, 0.5, 1.5)]

    assert pytest.approx([1.033, 1.033, 1.533], abs=0.005) == behind


@pytest.mark.parametrize(
    "upstream",
    [
        ModelledUpstream(lambda units, _: 0.02 + PER_UNIT_S * units, servers=2, noise=0.02),
        ModelledUpstream(lambda units, _: 0.0005 + PER_UNIT_S * units, noise=0.02),
    ],
    ids=["it works on two", "a fuller call saves little"],
)
def test_of_other_upstreams_it_is_not(upstream: ModelledUpstream) -> None:
    assert -inf == called(upstream).ends_s(1.0, -inf, 1_000, 900)


TWO_AT_ONCE = ModelledUpstream(lambda units, _: 0.02 + PER_UNIT_S * units, servers=2, noise=0.02)


@pytest.mark.parametrize("upstream", [SERIAL, TWO_AT_ONCE], ids=["one at a time", "two at a time"])
def test_an_idle_upstream_waits_for_those_who_ask_again_where_calls_cost_much(upstream: ModelledUpstream) -> None:
    tuner = called(upstream)
    ended_s = tuner._last_ended_s
    assert pytest.approx([0.005, 0.002, 0.0], abs=0.0005) == [
        tuner.ask_again_s(ended_s + later_s) for later_s in (0.0, 0.003, 0.006)
    ]


def test_where_calls_cost_little_it_waits_for_none() -> None:
    tuner = called(ModelledUpstream(lambda units, _: 0.004 + PER_UNIT_S * units, noise=0.02))

    assert 0.0 == tuner.ask_again_s(tuner._last_ended_s)


def test_that_calls_wait_for_each_other_shows_also_where_all_take_the_same() -> None:
    """As at an accelerator that is not full: alone a call takes 15 ms, and behind another one up to 30."""
    tuner, call_s = Tuner(2), 0.015
    for number in range(64):
        started_s = call_s * (number - number % 4 / 4)
        tuner.note(call(500 * (1 + number % 5), started_s, call_s * (number + 1), was_busy=True))
    assert tuner.ends_s(1.0, -inf, 1_000, 1_000) > 1.0

    for number in range(64):  # one after the other, which says nothing
        tuner.note(call(500 * (1 + number % 5), 1.0 + number, 1.0 + number + call_s, was_busy=True))
    assert tuner.ends_s(1.0, -inf, 1_000, 1_000) > 1.0


@pytest.mark.parametrize("servers", [8, 32])
def test_where_no_number_of_calls_is_configured_the_climb_begins_with_two_and_goes_on_to_all_that_help(
    servers: int,
) -> None:
    tuner = Tuner(None)
    run = drive(ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units, servers), 10_000, tuner)

    assert {2, servers} <= {setting.calls for setting in run.settings}
    assert max(setting.calls for setting in run.settings) <= min(2 * servers, CALLS_MAX)
    assert servers == Counter(setting.calls for setting in run.settings[-1000:]).most_common(1)[0][0]
    assert Setting(2, None) == Tuner(None, is_fixed=True).setting


def test_a_tuner_begins_as_configured_and_with_a_guess_of_what_padding_costs() -> None:
    tuner = Tuner(3)

    assert (Setting(3), BatchShape(CallCost().flat_units, UNITS_START)) == (tuner.setting, tuner.shape)


def test_another_bound_holds_at_once_and_what_calls_cost_stays_known() -> None:
    tuner = Tuner(None)
    drive(ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units, servers=8), 10_000, tuner)
    cost = tuner.cost
    tuner.bound(1)
    assert (tuner.setting.calls, tuner.cost) == (1, cost)
    run = drive(ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units, servers=8), 2_000, tuner)
    assert {setting.calls for setting in run.settings} == {1}

    fixed = Tuner(2, is_fixed=True)
    fixed.bound(None)
    assert fixed.setting == Tuner(None, is_fixed=True).setting


def test_the_shape_is_what_was_learnt() -> None:
    dear = ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units * max(1, units / 800))
    tuner, now_s, limited = Tuner(1), 0.0, 0
    for seed in range(100):
        now_s = drive(dear, LOOK_EVERY_CALLS * 3 + 1, tuner, seed=seed, began_s=now_s).ended_s[-1]
        if tuner._noted % LOOK_EVERY_CALLS:
            cost = tuner.cost
            assert BatchShape(cost.flat_units, tuner.setting.units_max, cost.knee_units) == tuner.shape
        limited += tuner.shape.units_max is not None

    assert limited > 50


def teach(tuner: Tuner, law: CostLaw, calls: int) -> None:
    """Let inputs of mixed lengths be called."""
    chance, now_s = random.Random(calls), 0.0
    for _ in range(calls):
        padded = chance.randint(500, 8_000)
        useful = round(padded * chance.uniform(0.3, 1))
        ended_s = now_s + FIXED_S + PER_UNIT_S * law.units(padded, useful, 1)
        tuner.note(Sample(tuner.setting, padded, useful, now_s, ended_s, was_busy=True))
        now_s = ended_s


def test_where_an_upstream_does_not_pad_padding_is_not_bounded_and_units_are_summed() -> None:
    tuner = Tuner(2)

    teach(tuner, CostLaw.SUMMED, 64)

    assert (None, CostLaw.SUMMED, 0.0) == (tuner.shape.padding_max, tuner.shape.law, tuner.shape.knee_units)


def test_what_was_counted_by_the_other_law_is_forgotten() -> None:
    tuner = Tuner(2)
    climber, recent = tuner._climber, tuner.recent

    teach(tuner, CostLaw.SUMMED, 64)

    assert tuner._climber is not climber
    assert tuner.recent is not recent


def test_while_laws_cannot_be_told_apart_a_batch_in_so_many_may_be_padded() -> None:
    """Or batches of like length, which is what the one law asks for, would never show that the other one holds."""
    tuner, shapes, now_s = Tuner(1), [], 0.0
    for call_number in range(1, 10 * LOOK_EVERY_CALLS):
        inputs = call_number % 31 + 1
        ended_s = now_s + 0.001 + 1e-5 * 100 * inputs
        tuner.note(Sample(tuner.setting, 100 * inputs, 100 * inputs, now_s, ended_s, was_busy=True))
        now_s = ended_s
        shapes.append((tuner.shape.padding_max or 0) > tuner.cost.flat_units)

    assert len(shapes) // LOOK_EVERY_CALLS - 2 <= sum(shapes) <= len(shapes) // LOOK_EVERY_CALLS


def test_once_padding_is_known_to_cost_no_batch_is_padded_to_find_out() -> None:
    tuner = Tuner(1)
    teach(tuner, CostLaw.PADDED, 64)

    for _ in range(2 * LOOK_EVERY_CALLS):
        teach(tuner, CostLaw.PADDED, 1)
        assert tuner.cost.flat_units == tuner.shape.padding_max


def test_calls_of_an_upstream_that_had_nothing_else_to_do_decide_nothing() -> None:
    """How many calls are best shows only in how much gets done, and then work must be waiting."""
    tuner, chance, now_s = Tuner(4), random.Random(1), 0.0
    for _ in range(5_000):
        ended_s = now_s + chance.uniform(0.01, 0.1)
        tuner.note(call(1_000, now_s, ended_s, setting=tuner.setting))
        now_s = ended_s

    assert Setting(4) == tuner.setting


def test_a_trial_does_not_outlast_the_work_it_was_begun_with() -> None:
    tuner, now_s = Tuner(2), 0.0
    while tuner.setting == Setting(2):
        tuner.note(call(1_000, now_s, now_s + 0.1, setting=tuner.setting, was_busy=True))
        now_s += 0.1

    for _ in range(5_000):
        tuner.note(call(2_000, now_s, now_s + 0.2, setting=tuner.setting))
        now_s += 0.2

    assert Setting(2) == tuner.setting


def test_what_one_has_learnt_another_begins_with() -> None:
    taught, other = called(SERIAL), Tuner(None)
    assert other.learnt is None
    assert taught.learnt is not None

    other.adopt(taught.learnt)

    assert taught.cost == other.cost
    assert taught.is_one_by_one == other.is_one_by_one
    assert taught.learnt.units_max == other.shape.units_max
    assert taught.learnt == other.learnt


def test_where_the_upstream_cuts_calls_no_size_is_taken_over() -> None:
    learner = Tuner(None)
    learner.note_passes(cuts_calls=True)
    learner.adopt(LearntCalls(100, "padded", FIXED_S, PER_UNIT_S, 0.0, 1.0, 0.0, 4, 8192))

    assert Setting(4, None) == learner.setting


def test_more_calls_than_are_configured_are_not_taken_over() -> None:
    taught, other = called(SERIAL), Tuner(2)
    assert taught.learnt is not None

    other.adopt(replace(taught.learnt, calls=8))

    assert 2 == other.setting.calls


def test_what_was_taken_over_gives_way_to_own_calls() -> None:
    other = Tuner(1)
    other.adopt(LearntCalls(1000, "padded", 0.5, 1e-9, 0.0, 1.0, 0.0, 1, 4096))

    drive(SERIAL, 100, other)

    assert other.cost.flat_s < 0.1


def test_a_fixed_tuner_takes_nothing_over() -> None:
    taught, fixed = called(SERIAL), Tuner(2, is_fixed=True)
    assert taught.learnt is not None

    fixed.adopt(taught.learnt)

    assert (Setting(2, None), None) == (fixed.setting, fixed.learnt)


@pytest.mark.parametrize(("servers", "tries"), [(1, True), (2, False)])
def test_while_jobs_wait_fewer_calls_are_tried_only_where_calls_wait_for_each_other(
    servers: int, *, tries: bool
) -> None:
    upstream = ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units, servers=servers, noise=0.02)
    tuner = called(upstream)
    tuner.note_wait(0.5)

    run = drive(upstream, 2_000, tuner, began_s=100.0)

    assert tries == any(setting.calls == 1 for setting in run.settings)


@pytest.mark.parametrize(("seconds", "steps"), [(FIXED_S / 8, 1), (8 * FIXED_S, 0), (FIXED_S, 0)])
def test_an_upstream_that_becomes_faster_is_known_as_such(seconds: float, steps: int) -> None:
    tuner = Tuner(1)
    was = drive(ModelledUpstream(lambda _units, _calls: FIXED_S), 100, tuner)
    before = tuner.steps_faster  # than the guess that it began with
    drive(ModelledUpstream(lambda _units, _calls: seconds), 100, tuner, began_s=was.ended_s[-1])

    assert steps == tuner.steps_faster - before
