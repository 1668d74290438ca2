"""What a batcher that is gone had learnt is believed as long as calls bear it out: a wrong memory costs seconds, not minutes."""

import logging
from functools import cache
from itertools import cycle

import pytest
from msgspec.structs import replace

from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.clients import ClosedLoop, RunHistory
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.score import score
from autobatch_batcher.tuning.climbing import Setting
from autobatch_batcher.tuning.cost import CALLS_MIN, CallCost
from autobatch_batcher.tuning.duty import Duty, duty_of
from autobatch_batcher.tuning.surprise import CALLS_KEPT, ROUNDS, Trust
from autobatch_batcher.tuning.tuner import CALLS_FIRST, Tuner
from autobatch_shared.contract.status import BatcherStatus, LearntCalls, RememberedCalls, UpstreamStatus, to_remember
from autobatch_shared.settings.definitions import BatcherSettings
from tests.unit.upstream_models import ModelledUpstream, drive
from tests.unit.upstreams import make_upstream

CALL_S, CALLS = 0.02, 8
KNOWN_S, END_S = 5.0, 9.0  # by then an upstream that is another is known as well as without a memory
COST = CallCost(CALL_S, 1e-9)
#: An upstream with 32 places, at which a text takes 20 ms.
MANY_PLACES = LearntCalls(26_977, "padded", 0.02, 2.7e-5, 0.0, 0.0, 1.0, 32, 8192)
SLOW_PLACES = LearntCalls(2_697, "padded", 0.21, 1e-8, 0.0, 0.0, 1.0, 32, 8192)
IN_TURN = LearntCalls(2_100, "summed", 0.02, 1.5e-6, 0.0, 1.0, 0.0, 4, 32_768)
ONE_AT_A_TIME = LearntCalls(3_860, "padded", 0.0005, 1.3e-4, 0.0, 1.0, 0.0, 1, 256)
MEMORIES = {"many": MANY_PLACES, "slow": SLOW_PLACES, "in turn": IN_TURN, "one": ONE_AT_A_TIME}


class TrustOnTrial:
    """Trust in what was remembered of calls that take `CALL_S`, and the time that passes."""

    def __init__(self, *, is_one_by_one: bool = False) -> None:
        self.trust = Trust(COST, CALLS, is_one_by_one=is_one_by_one)
        self._now_s = 0.0

    def rounds(self, count: int, took_s: float, *, calls: int = CALLS) -> None:
        """Make so many rounds of calls, each of which is served for an equal part of the round."""
        for _ in range(count):
            started_s = self._now_s
            self._now_s += took_s
            for _ in range(calls):
                self.trust.note(100, started_s, self._now_s, took_s / calls, is_full=calls >= CALLS)


def test_rounds_of_slow_calls_refute_it() -> None:
    judged = TrustOnTrial()
    judged.rounds(ROUNDS, 3 * CALL_S)
    assert not judged.trust.is_refuted

    judged.rounds(1, CALL_S)  # with its first call the round before is over

    assert judged.trust.is_refuted


def test_a_pause_that_meets_all_calls_in_flight_does_not() -> None:
    judged = TrustOnTrial()
    for _ in range(10):
        judged.rounds(1, 100 * CALL_S)
        judged.rounds(2, CALL_S)
    assert not judged.trust.is_refuted


def test_a_few_slow_calls_of_one_client_do_not() -> None:
    judged = TrustOnTrial()
    judged.rounds(CALLS_MIN, 3 * CALL_S, calls=1)
    assert not judged.trust.is_refuted


def test_calls_that_waited_for_each_other_are_judged_by_how_long_they_were_served() -> None:
    judged = TrustOnTrial(is_one_by_one=True)
    judged.rounds(20, CALLS * CALL_S)
    assert not judged.trust.is_refuted

    judged.rounds(20, 3 * CALLS * CALL_S)

    assert judged.trust.is_refuted


def test_calls_that_wait_for_each_other_no_more_refute_it() -> None:
    """Two at a time are served in half the time then, as each takes what it took alone."""
    judged = TrustOnTrial(is_one_by_one=True)
    judged.rounds(2 * ROUNDS, CALLS * CALL_S)
    assert not judged.trust.is_refuted

    judged.rounds(ROUNDS + 1, CALLS * CALL_S / 2)

    assert judged.trust.is_refuted


def test_faster_rounds_say_nothing_of_calls_that_ran_side_by_side() -> None:
    """Alone they are faster than beside many others."""
    judged = TrustOnTrial()
    judged.rounds(4 * CALLS_MIN, CALL_S / 4, calls=1)
    assert not judged.trust.is_refuted


def test_slow_rounds_and_fast_ones_in_turn_do_not_refute_it() -> None:
    judged = TrustOnTrial(is_one_by_one=True)
    for _ in range(2 * CALLS_MIN):
        judged.rounds(1, 3 * CALLS * CALL_S)
        judged.rounds(1, CALLS * CALL_S / 3)
    assert not judged.trust.is_refuted


def test_only_calls_beside_as_many_as_before_confirm_it() -> None:
    judged = TrustOnTrial()
    judged.rounds(CALLS_KEPT, CALL_S, calls=1)
    assert not judged.trust.is_confirmed

    judged.rounds(CALLS_KEPT // CALLS, CALL_S)

    assert judged.trust.is_confirmed


def run(law: str, remembered: LearntCalls | None, seconds: float) -> RunHistory:
    traffic = ClosedLoop(64, cycle((30, 1000, 60, 90, 200)))
    fleet = SimulatedFleet(BatcherSettings.model_construct(), remembered=remembered)
    return run_batchers(law_of(law), traffic, fleet, seconds)


@cache
def goodput_anew(law: str) -> float:
    """What is done by a batcher that remembers nothing."""
    return score(run(law, None, END_S), KNOWN_S, END_S).goodput


@pytest.mark.simulated
def test_a_restarted_batcher_begins_where_the_one_before_it_ended() -> None:
    law = "unpadded:fixed_ms=1,per_input_us=20000,parallel=32"

    anew, going_on = (len(run(law, remembered, 1.0).answered) for remembered in (None, MANY_PLACES))

    assert 0.75 * 32 / 0.021 < going_on
    assert anew < 0.25 * going_on


@pytest.mark.simulated
@pytest.mark.parametrize("memory", list(MEMORIES))
@pytest.mark.parametrize(
    "law",
    [
        "unpadded:fixed_ms=20,per_unit_us=1.5",
        "unpadded:fixed_ms=20,per_unit_us=1.5,parallel=4",
        "padded:fixed_ms=1.5,per_unit_us=13",
    ],
    ids=["in turn", "four places", "padded"],
)
def test_what_was_remembered_of_another_upstream_costs_a_few_seconds(law: str, memory: str) -> None:
    """It has other places or another speed now. Without judging it a tenth of what could be answered would be, for minutes."""
    misled = run(law, MEMORIES[memory], END_S)

    assert all(each.is_good for each in misled.answered)
    assert score(misled, KNOWN_S, END_S).goodput >= 0.9 * goodput_anew(law)


def test_a_fixed_setting_stays_whatever_was_remembered() -> None:
    fifo = Tuner(2, is_fixed=True)
    fifo.adopt(MANY_PLACES, is_remembered=True)
    assert (Setting(2, None), None) == (fifo.setting, fifo.learnt)


@pytest.mark.parametrize(("calls_max", "calls"), [(None, 32), (64, 32), (8, 8), (1, 1)])
def test_no_more_calls_are_made_than_are_configured_now(calls_max: int | None, calls: int) -> None:
    tuner = Tuner(calls_max)
    tuner.adopt(MANY_PLACES, is_remembered=True)
    assert calls == tuner.setting.calls


def test_no_fewer_calls_are_made_than_by_a_batcher_that_knows_nothing() -> None:
    """One at a time shows nothing of calls beside each other."""
    tuner = Tuner(None)
    tuner.adopt(ONE_AT_A_TIME, is_remembered=True)
    assert CALLS_FIRST == tuner.setting.calls


@pytest.mark.parametrize(
    ("slower", "servers", "said"),
    [
        (10.0, 32, ("upstream_memory_dropped", "calls are slower")),
        (1.0, 1, ("upstream_memory_dropped", "calls wait for each other")),
        (1.0, 32, ("upstream_memory_confirmed", None)),
    ],
    ids=["slower", "one place", "as it was"],
)
def test_what_became_of_a_memory_is_logged_once(
    caplog: pytest.LogCaptureFixture, slower: float, servers: int, said: tuple[str, str | None]
) -> None:
    caplog.set_level(logging.INFO)
    upstream = make_upstream("a", calls_max=32)
    upstream.take_duty(Duty(learnt=MANY_PLACES, is_remembered=True))
    slow = ModelledUpstream(lambda units, _: slower * (0.02 + 2.7e-5 * units), servers)

    drive(slow, 2_000, upstream.tuner)

    ends = [vars(each) for each in caplog.records if each.message.startswith("upstream_memory")]
    assert [said] == [(each["message"], each.get("why")) for each in ends]


def test_what_was_dropped_is_taken_from_nowhere_again() -> None:
    """Redis has it still, and so has a batcher that stands by: from the drop on, before as much is learnt anew."""
    upstream = make_upstream("a", calls_max=32)
    upstream.take_duty(Duty(learnt=MANY_PLACES, is_remembered=True))
    taken: list[LearntCalls | None] = []
    kept: list[RememberedCalls] = []

    def report(_why: str) -> None:
        seen = UpstreamStatus("a", True, 32, 0, counts_for="model", may_be_called=True, is_on_duty=True)
        own, other = (
            BatcherStatus(1, 0, [replace(seen, learnt=learnt)], id=batcher)
            for batcher, learnt in (("first", upstream.tuner.learnt), ("stands by", MANY_PLACES))
        )
        taken.append(duty_of("first", "a", [own, other], 1, RememberedCalls(1, "model", MANY_PLACES)).learnt)
        kept.extend(to_remember(own).values())

    upstream.tuner.memory_ended = report
    drive(ModelledUpstream(lambda units, _: 0.2 + 2.7e-4 * units, 32), 200, upstream.tuner)

    assert ([None], []) == (taken, kept)


def test_other_settings_end_a_memory(caplog: pytest.LogCaptureFixture) -> None:
    upstream = make_upstream("a", calls_max=32)
    upstream.take_duty(Duty(learnt=MANY_PLACES, is_remembered=True))
    upstream.tuner.bound(4)
    upstream.tuner.bound(8)
    assert ["other settings"] == [vars(each)["why"] for each in caplog.records]
