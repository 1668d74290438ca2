"""An upstream that has become another is noticed, and its calls stay large enough for what comes."""

from random import Random

import pytest

from autobatch_batcher.simulating import batchers
from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.clients import SimulatedRequest, TimedArrivals
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.tuning.climbing import UNITS_START, Setting
from autobatch_batcher.tuning.cost import CALLS_MIN, FIT_EVERY_CALLS, PADDING_DEFAULT, PADDING_MAX, CallCost
from autobatch_batcher.tuning.surprise import Surprise, SurprisingCall
from autobatch_batcher.tuning.tuner import Sample, Tuner
from autobatch_shared.settings.definitions import BatcherSettings

DEADLINE_MS = 5_000
FAST = CallCost(0.01, 4e-6)
TEXT_UNITS = 110


class Calling:
    """Calls one upstream, several at once, each of which takes what it is told to; sizes vary between 100 and 5,000 units."""

    def __init__(self) -> None:
        self.tuner = Tuner(None)
        self.now_s = 0.0
        self._chance = Random(1)

    def calls(self, count: int, cost: CallCost, *, at_once: int = 1, paused_s: float = 0.0) -> None:
        """Make so many calls, `at_once` of them side by side, after a pause that meets those of the first round."""
        for made in range(0, count, at_once):
            sizes = sorted(self._chance.randint(100, 5_000) for _ in range(at_once))
            for units in sizes:
                ends_s = self.now_s + cost.seconds(units) + (paused_s if made == 0 else 0.0)
                self.tuner.note(Sample(Setting(at_once), units, units, self.now_s, ends_s, was_busy=False))
            self.now_s = ends_s

    def calls_in_line(self, count: int, cost: CallCost, in_flight: int) -> None:
        """Make so many calls to an upstream that works on one at a time; each waits for those in flight before it."""
        ended_s = [self.now_s] * in_flight
        for _ in range(count):
            units = self._chance.randint(100, 5_000)
            sent_s = ended_s[-in_flight]
            ended_s.append(ended_s[-1] + cost.seconds(units))
            self.tuner.note(Sample(Setting(in_flight), units, units, sent_s, ended_s[-1], was_busy=True))
        self.now_s = ended_s[-1]


@pytest.fixture
def calling() -> Calling:
    """Calls of 10 ms and a little for their size were learnt."""
    calling = Calling()
    calling.calls(64, FAST)
    assert pytest.approx(FAST.flat_s, rel=1e-3) == calling.tuner.cost.flat_s
    return calling


def arrivals(rates: list[tuple[float, float]], seed: int) -> list[tuple[float, SimulatedRequest]]:
    """Return requests of one text each, with lengths as in real traffic, so many a second for so many seconds, one rate after the other."""
    chance, asked, until_s = Random(seed), [], 0.0
    for per_s, seconds in rates:
        at_s, until_s = until_s, until_s + seconds
        while (at_s := at_s + chance.expovariate(per_s)) < until_s:
            length = min(1650, max(4, int(TEXT_UNITS * chance.lognormvariate(0, 1.0))))
            asked.append((at_s, SimulatedRequest((length,))))
    return asked


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("law", "rates"),
    [
        ("padded:fixed_ms=10,per_unit_us=0.001,parallel=4,changes_at_s=8,changed_times=100", [(100, 8), (30, 15)]),
        ("padded:fixed_ms=1500,per_input_us=10000,parallel=2", [(15, 15)]),
    ],
    ids=["after a slow-down", "from the beginning"],
)
def test_where_calls_take_a_second_whatever_they_carry_all_are_answered_in_time(
    law: str, rates: list[tuple[float, float]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of like lengths only would be of six texts, while thirty come in a second: one request in ten would wait in vain."""
    monkeypatch.setattr(batchers, "DEADLINE_MS", DEADLINE_MS)
    asked = arrivals(rates, seed)
    fleet = SimulatedFleet(BatcherSettings.model_construct())

    answered = run_batchers(law_of(law), TimedArrivals(asked), fleet, asked[-1][0] + 10, seed=seed).answered

    assert [True] * len(asked) == [each.is_good for each in answered]
    assert max(each.ended_s - each.sent_s for each in answered) < 0.75 * DEADLINE_MS / 1000


def test_a_few_slow_calls_are_charged_to_the_call_and_not_to_its_size(calling: Calling) -> None:
    calling.calls(3, CallCost(1.0, 4e-6))

    assert pytest.approx(1.0, rel=1e-3) == calling.tuner.cost.flat_s
    assert PADDING_MAX == calling.tuner.shape.padding_max


def test_unless_they_show_that_size_costs_more(calling: Calling) -> None:
    slow = CallCost(0.4, 1e-3)

    calling.calls(5, slow)

    assert pytest.approx(slow.flat_units, rel=1e-3) == calling.tuner.cost.flat_units


def test_after_a_step_what_calls_cost_before_is_forgotten(calling: Calling) -> None:
    slow = CallCost(1.0, 1e-4)

    calling.calls(CALLS_MIN, slow)

    cost = calling.tuner.cost
    assert pytest.approx((slow.flat_s, slow.per_unit_s), rel=1e-3) == (cost.flat_s, cost.per_unit_s)


def test_an_upstream_that_is_fast_again_is_known_as_soon(calling: Calling) -> None:
    calling.calls(64, CallCost(1.0, 1e-4))

    calling.calls(CALLS_MIN, FAST)

    cost = calling.tuner.cost
    assert pytest.approx((FAST.flat_s, FAST.per_unit_s), rel=1e-3) == (cost.flat_s, cost.per_unit_s)


def test_a_pause_that_meets_all_calls_in_flight_is_no_step(calling: Calling) -> None:
    calling.calls(80, FAST, at_once=8)
    before = calling.tuner.cost

    calling.calls(8, FAST, at_once=8, paused_s=2.0)

    assert before is calling.tuner.cost


def test_calls_that_wait_for_more_others_are_no_surprise() -> None:
    calling = Calling()
    calling.calls_in_line(12 * FIT_EVERY_CALLS, FAST, 1)

    calling.calls_in_line(CALLS_MIN + 4, FAST, 8)  # of the first ones none waits for many

    assert pytest.approx(FAST.flat_s, rel=0.01) == calling.tuner.cost.flat_s
    assert calling.tuner.is_one_by_one


def test_before_anything_is_learnt_the_first_call_says_more_than_the_guess() -> None:
    calling = Calling()
    assert PADDING_DEFAULT == calling.tuner.shape.padding_max

    calling.calls(1, CallCost(1.5, 0.0))

    assert pytest.approx(1.5, rel=0.1) == calling.tuner.cost.flat_s
    assert PADDING_MAX == calling.tuner.shape.padding_max
    assert UNITS_START < (calling.tuner.shape.units_max or 0)
    assert UNITS_START == calling.tuner.setting.units_max


def test_a_fit_that_is_due_meanwhile_waits_and_others_are_told_what_was_learnt(calling: Calling) -> None:
    calling.calls(FIT_EVERY_CALLS - 3, FAST)

    calling.calls(3, CallCost(1.0, 4e-6))

    learnt = calling.tuner.learnt
    assert learnt is not None
    assert pytest.approx(FAST.flat_s, rel=1e-3) == learnt.flat_s


def test_what_is_charged_is_kept_for_no_longer_than_until_the_next_call() -> None:
    """It is asked ten times a call; asked after each call, or only after the last one, it is the same."""
    often = Surprise()
    made = [
        SurprisingCall(units, 10.0 * units, 10.0 * units + 1 / units, 1 / units, 0.001, 0.001)
        for units in range(1, CALLS_MIN + 1)
    ]
    for count, call in enumerate(made, 1):
        often.note(call)
        once = Surprise()
        for each in made[:count]:
            once.note(each)
        assert once.charged(FAST, is_learnt=True) == often.charged(FAST, is_learnt=True)
    often.end()
    assert often.charged(FAST, is_learnt=True) is FAST
