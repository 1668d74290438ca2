"""The climb ends where most work gets done, and costs next to nothing: on upstreams that are arithmetic."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.tuning.climbing import (
    BLOCK_CALLS,
    LOST_CALLS,
    PAIRS,
    SURE_PAIRS,
    UNITS_MIN,
    UNITS_START,
    Climber,
    Setting,
)
from autobatch_batcher.tuning.tuner import Tuner
from tests.unit.upstream_models import ModelledUpstream, Run, drive

pytestmark = pytest.mark.simulated

FIXED_S, PER_UNIT_S = 0.004, 13e-6  # MiniLM on two cores
CLIMB_CALLS = 10_000  # by then the climb has ended, from wherever it began
RUN_CALLS = 30_000
SEEDS = [1, 2, 3]


def plain(units: int, _calls: int) -> float:
    return FIXED_S + PER_UNIT_S * units


def dear_when_large(units: int, _calls: int) -> float:
    """Of attention, or of a cache that is too small: beyond 800 units each unit costs more."""
    return FIXED_S + PER_UNIT_S * units * max(1, units / 800)


def dear_when_many(units: int, calls: int) -> float:
    """Of threads in each other's way."""
    return plain(units, calls) * (1 + 0.15 * (calls - 1))


UPSTREAMS = {
    "one at a time": (ModelledUpstream(plain), 4),
    "three at a time": (ModelledUpstream(plain, servers=3), 6),
    "far away, one at a time": (ModelledUpstream(plain, overhead_s=0.004), 4),
    "worse with each call in flight": (ModelledUpstream(dear_when_many), 8),
    "worse with size": (ModelledUpstream(dear_when_large), 4),
    "worse with size, two at a time": (ModelledUpstream(dear_when_large, servers=2), 4),
}
MODELS = pytest.mark.parametrize(("upstream", "calls_max"), list(UPSTREAMS.values()), ids=list(UPSTREAMS))
WORTH_IT = [name for name in UPSTREAMS if not name.startswith("worse with size")]


def best_fixed(upstream: ModelledUpstream, calls_max: int) -> float:
    """Return the goodput of the best setting that never changes."""
    settings = [Setting(calls, units) for calls in range(1, calls_max + 1) for units in (None, 512, 1024, 2048)]
    return max(drive(upstream, 600, fixed=setting).goodput() for setting in settings)


def most_used(run: Run, calls: int = 2_000) -> Setting:
    """Return the setting of most of the last calls."""
    return Counter(run.settings[-calls:]).most_common(1)[0][0]


@MODELS
def test_the_climb_ends_at_the_best_setting_or_close_by(upstream: ModelledUpstream, calls_max: int) -> None:
    """Sizes are tried by halves, so the best size is missed by up to a factor of 1.4: a tenth of goodput at most."""
    run = drive(upstream, CLIMB_CALLS, Tuner(calls_max))
    there = drive(upstream, 600, fixed=most_used(run)).goodput()

    assert there >= 0.93 * best_fixed(upstream, calls_max)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", WORTH_IT)
def test_trials_cost_next_to_nothing_in_the_long_run(name: str, seed: int) -> None:
    upstream, calls_max = UPSTREAMS[name]

    run = drive(upstream, RUN_CALLS, Tuner(calls_max), seed=seed)

    assert run.goodput(CLIMB_CALLS) >= 0.97 * best_fixed(upstream, calls_max)


@pytest.mark.parametrize("name", ["worse with size", "worse with size, two at a time"])
def test_trials_of_larger_calls_cost_next_to_nothing_either(name: str) -> None:
    upstream, calls_max = UPSTREAMS[name]

    run = drive(upstream, RUN_CALLS, Tuner(calls_max))
    kept = drive(upstream, 600, fixed=most_used(run)).goodput()

    assert run.goodput(CLIMB_CALLS) >= 0.97 * kept


@MODELS
def test_trials_become_rare(upstream: ModelledUpstream, calls_max: int) -> None:
    """Of an upstream without noise, which makes equal settings look better now and then."""
    run = drive(replace(upstream, noise=0.0), RUN_CALLS, Tuner(calls_max))
    last = run.settings[-RUN_CALLS // 3 :]

    assert Counter(last).most_common(1)[0][1] >= 0.94 * len(last)


def test_more_calls_than_can_help_are_given_up() -> None:
    run = drive(ModelledUpstream(dear_when_many), CLIMB_CALLS, Tuner(8))

    assert 1 == most_used(run).calls


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_that_help_are_kept(seed: int) -> None:
    """Each of three servers needs one; more are neither better nor worse."""
    run = drive(ModelledUpstream(plain, servers=3), CLIMB_CALLS, Tuner(6), seed=seed)

    assert most_used(run).calls >= 3


def test_large_calls_that_cost_throughput_are_given_up() -> None:
    run = drive(ModelledUpstream(dear_when_large), CLIMB_CALLS, Tuner(4))

    units_max = most_used(run).units_max
    assert units_max is not None
    assert 512 <= units_max <= 2048


def test_what_was_given_up_is_taken_again_when_the_upstream_has_changed() -> None:
    """Of calls in flight, one by one."""
    tuner = Tuner(3)
    climb = drive(ModelledUpstream(dear_when_many), CLIMB_CALLS, tuner)
    later = drive(ModelledUpstream(plain, servers=3), 2 * CLIMB_CALLS, tuner, began_s=climb.ended_s[-1])

    assert (1, 3) == (most_used(climb).calls, most_used(later).calls)


def test_a_limit_is_raised_step_by_step() -> None:
    """No limit at all would be worse than the small one, and twice as much better."""
    tuner = Tuner(1)
    climb = drive(
        ModelledUpstream(lambda units, _: FIXED_S / 2 + PER_UNIT_S * units * max(1, units / 500)), CLIMB_CALLS, tuner
    )
    assert (most_used(climb).units_max or 0) < 700

    better = ModelledUpstream(lambda units, _: FIXED_S + PER_UNIT_S * units * max(1, units / 1_700))
    later = drive(better, 2 * CLIMB_CALLS, tuner, began_s=climb.ended_s[-1])

    assert drive(better, 600, fixed=most_used(later)).goodput() >= 0.9 * best_fixed(better, 1)


def test_one_call_at_a_time_is_charged_for_the_time_in_between() -> None:
    """Two calls in flight cost the upstream 5 %, one leaves it idle for a sixth of the time."""
    upstream = ModelledUpstream(lambda _, calls: 0.02 * (1 + 0.05 * (calls - 1)), noise=0.0, overhead_s=0.004)

    run = drive(upstream, CLIMB_CALLS, Tuner(2))

    assert 2 == most_used(run).calls


@given(
    calls_max=st.integers(1, 5),
    seed=st.integers(0, 1_000),
    notes=st.integers(0, 1_500),
    units_max=st.sampled_from([10, 600, 100_000]),
)
def test_no_history_leads_to_a_setting_out_of_bounds(calls_max: int, seed: int, notes: int, units_max: int) -> None:
    chance = random.Random(seed)
    climber = Climber(calls_max)

    for _ in range(notes):
        setting = climber.setting
        assert 1 <= setting.calls <= calls_max
        assert setting.units_max is None or setting.units_max >= UNITS_MIN
        units = chance.randint(1, units_max)
        climber.note(setting, units, units, chance.choice([0.0, 0.02, 0.1]))


def test_the_climb_begins_as_configured() -> None:
    assert Setting(7, UNITS_START) == Climber(7).setting


def test_of_an_upstream_whose_calls_are_one_and_small_nothing_is_tried() -> None:
    climber = Climber(1)

    for _ in range(50 * BLOCK_CALLS):
        assert Setting(1) == climber.setting
        climber.note(climber.setting, UNITS_MIN, UNITS_MIN, 0.05)


def test_where_sizes_are_not_tried_calls_are_bounded_by_none_and_only_their_number_is_tried() -> None:
    climber, tried = Climber(2, tries_sizes=False), set()

    for _ in range(50 * BLOCK_CALLS):
        tried.add(climber.setting)
        climber.note(climber.setting, UNITS_START, UNITS_START, 0.05)

    assert {Setting(1, None), Setting(2, None)} == tried


def test_calls_of_another_setting_end_no_trial() -> None:
    climber = Climber(2)
    while climber.setting == Setting(2):
        climber.note(Setting(2), 1, 1, 0.05)

    for _ in range(100):
        climber.note(Setting(2), 1, 1, 0.05)

    assert Setting(1) == climber.setting
    for _ in range(BLOCK_CALLS):
        climber.note(Setting(1), 1, 1, 0.05)
    assert Setting(2) == climber.setting


def test_a_trial_lasts_until_enough_was_seen_however_fast_calls_are() -> None:
    """A quarter of a second of service: of calls of 1 ms that is 250."""
    climber = Climber(2)
    lasted = 0
    while climber.setting == Setting(2):
        climber.note(climber.setting, 1, 1, 0.001)
        lasted += 1

    assert lasted >= 250


ANSWER_S = 0.1  # more than a call takes


def until_trial(climber: Climber, answer_s: float = 0.0) -> None:
    """Make calls until it tries another setting."""
    while not climber.is_trying:
        climber.note(climber.setting, UNITS_START, UNITS_START, 0.05, answer_s=answer_s)


def test_a_trial_of_fewer_calls_ends_as_soon_as_jobs_wait_for_long_because_of_it() -> None:
    """Where calls run side by side it halves what gets done, for seconds if calls are slow."""
    climber = Climber(2)
    until_trial(climber)
    assert Setting(1) == climber.setting

    climber.note_wait(is_long=True)

    assert Setting(2) == climber.setting
    assert not climber.is_trying


@pytest.mark.parametrize(("answer_s", "goes_on"), [(0.19, True), (0.21, False)])
def test_a_trial_of_fewer_calls_ends_once_an_answer_takes_twice_as_long_as_before(
    answer_s: float, *, goes_on: bool
) -> None:
    """Near its capacity an upstream that does less is behind for seconds."""
    climber = Climber(2)
    until_trial(climber, answer_s=0.1)
    assert Setting(1) == climber.setting

    climber.note(climber.setting, UNITS_START, UNITS_START, 0.05, answer_s=answer_s)

    assert goes_on is climber.is_trying
    assert goes_on is (Setting(1) == climber.setting)


def test_while_jobs_wait_for_long_neither_fewer_nor_smaller_calls_are_tried() -> None:
    climber = Climber(2)
    climber.note_wait(is_long=True)
    for _ in range(50 * BLOCK_CALLS):
        assert not climber.setting.is_less_than(Setting(2))
        climber.note(climber.setting, UNITS_START, UNITS_START, 0.05)

    climber.note_wait(is_long=False)
    until_trial(climber)
    assert climber.setting.is_less_than(Setting(2))


def test_more_calls_are_tried_however_long_jobs_wait() -> None:
    """They may be what makes the wait shorter."""
    climber = Climber(8, 2)
    climber.note_wait(is_long=True)

    until_trial(climber)
    climber.note_wait(is_long=True)

    assert Setting(4) == climber.setting


@pytest.mark.parametrize(("times", "calls"), [(1.5, LOST_CALLS), (1.1, BLOCK_CALLS)])
def test_a_trial_that_does_much_less_ends_after_a_few_calls(times: float, calls: int) -> None:
    climber, tried = Climber(2), 0
    until_trial(climber, ANSWER_S)
    while climber.is_trying:
        climber.note(climber.setting, UNITS_START, UNITS_START, 0.05 * times, ANSWER_S)
        tried += 1

    assert calls == tried


@pytest.mark.parametrize(("times", "pairs"), [(1.5, PAIRS), (1.05, SURE_PAIRS)])
def test_a_small_gain_has_to_show_more_often(times: float, pairs: int) -> None:
    climber, blocks = Climber(8, 1), 0
    best = climber.best
    while climber.best == best:
        was_trying = climber.is_trying
        climber.note(climber.setting, UNITS_START, UNITS_START, 0.05 / (times if was_trying else 1))
        blocks += (was_trying and not climber.is_trying) or climber.best != best

    assert pairs == blocks


def test_smaller_calls_are_not_tried_where_what_calls_cost_says_that_they_do_less() -> None:
    climber = Climber(1)
    climber.expect(UNITS_START, UNITS_START)

    for _ in range(50 * BLOCK_CALLS):
        climber.note(climber.setting, UNITS_START, UNITS_START, 0.05)
        assert UNITS_START <= (climber.setting.units_max or UNITS_START)


def test_a_size_that_was_just_found_worse_is_not_taken_from_a_promise() -> None:
    """Calls that share an upstream's time make its cost look flat: large calls would promise much, and be all alike from then on."""
    climber = Climber(1)
    climber.adopt(Setting(1, UNITS_START))
    tried = []
    for _ in range(40 * BLOCK_CALLS):
        tried.append(climber.setting.units_max)
        is_other = climber.setting.units_max != UNITS_START
        climber.note(climber.setting, 4 * UNITS_START, UNITS_START, 0.05 * (2 if is_other else 1))
        if 2 * UNITS_START in tried and not climber.is_trying:
            break

    climber.expect(16 * UNITS_START)

    assert 2 * UNITS_START in tried
    assert climber.best.units_max == UNITS_START
