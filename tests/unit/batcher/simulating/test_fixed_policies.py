"""Fixed policies in front of an upstream whose law is known."""

from itertools import repeat

import pytest

from autobatch_batcher.simulating.clients import ClosedLoop, RunHistory, SimulatedRequest, TimedArrivals
from autobatch_batcher.simulating.fixed_policies import FixedPolicy, PolicyError, fixed_policies, policy_of, run_fixed
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.workers import CALL_S, CLAIM_S, PUSH_S, REPLY_S
from tests.laws.changing_loop import ChangingLoop

ROUND_TRIPS_S = PUSH_S + CLAIM_S + CALL_S + REPLY_S
TEN_MS = law_of("padded:fixed_ms=10")


def sizes(history: RunHistory) -> list[int]:
    return [call.inputs for call in history.calls]


def test_clients_are_replaced_by_those_of_another_loop() -> None:
    """Of the former ones only the requests that were on their way are answered after it."""
    traffic = ChangingLoop(ClosedLoop(8, repeat(5)), ClosedLoop(2, repeat(7)), 1.0)

    answered = run_fixed(TEN_MS, traffic, FixedPolicy(8, 1), 2.0).answered

    assert {(5,)} == {each.asked.lengths for each in answered if each.ended_s < 1.0}
    assert {(7,)} == {each.asked.lengths for each in answered if each.sent_s >= 1.0}
    assert {(7,)} == {each.asked.lengths for each in answered if each.ended_s > 1.1}


def test_a_lone_request_takes_its_call_and_the_round_trips() -> None:
    (answered,) = run_fixed(TEN_MS, TimedArrivals([(0.0, SimulatedRequest((5,)))]), FixedPolicy(32, 1), 1.0).answered
    assert pytest.approx(0.01 + ROUND_TRIPS_S) == answered.ended_s - answered.sent_s


def test_one_by_one_is_one_by_one() -> None:
    history = run_fixed(TEN_MS, ClosedLoop(8, repeat(5)), FixedPolicy(1, 2), 1.0)
    assert {1} == set(sizes(history))


def test_a_window_waits_for_a_full_batch_and_no_longer_than_its_time() -> None:
    arrivals = [(0.001 * number, SimulatedRequest((5,))) for number in range(6)]
    history = run_fixed(TEN_MS, TimedArrivals(arrivals), FixedPolicy(4, 1, wait_ms=30), 1.0)
    assert [4, 2] == sizes(history)
    assert pytest.approx(0.004 + 0.03 + ROUND_TRIPS_S + 0.01) == history.answered[-1].ended_s


def test_sorted_puts_like_lengths_together_and_the_oldest_first() -> None:
    arrivals = [(0.0, SimulatedRequest((1,)))] + [(0.001, SimulatedRequest((length,))) for length in (9, 2, 8, 3)]
    history = run_fixed(TEN_MS, TimedArrivals(arrivals), FixedPolicy(2, 1, is_sorted=True), 1.0)
    assert [(1, 1), (2, 9), (2, 3)] == [(call.inputs, call.longest) for call in history.calls]


def test_a_request_of_many_inputs_is_answered_once_after_its_last_call() -> None:
    (answered,) = run_fixed(TEN_MS, TimedArrivals([(0.0, SimulatedRequest((5,) * 9))]), FixedPolicy(4, 1), 1.0).answered
    assert answered.ended_s > 0.03


def test_what_was_refused_is_asked_again() -> None:
    law = law_of("padded:fixed_ms=10,in_flight_inputs_max=1")
    history = run_fixed(law, TimedArrivals([(0.0, SimulatedRequest((5,)))] * 3), FixedPolicy(1, 2), 1.0)
    assert [True] * 3 == [each.is_good for each in history.answered]


@pytest.mark.parametrize("policy", list(fixed_policies()))
def test_the_name_of_a_policy_names_it(policy: FixedPolicy) -> None:
    assert policy == policy_of(policy.name)


@pytest.mark.parametrize("name", ["", "fifo", "fifo 0 x 1", "sorted 8", "lifo 8 x 1", "fifo 8 x 1, 5 s"])
def test_another_name_names_none(name: str) -> None:
    with pytest.raises(PolicyError, match="must be like"):
        policy_of(name)
