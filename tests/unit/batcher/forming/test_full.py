"""How much the policy `full` claims, and how long it waits before."""

from typing import Any

import pytest

from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming.full import FullPolicy
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.forming.policy import ClaimMoment, Policy
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits
from tests.unit.builders import UNNORMALIZED, make_job

WAIT_MS = 10
CALL = 32
WINDOW = 8 * CALL
QUIET: dict[str, Any] = {
    "limits": Limits(CALL, 10**9, 10**9),
    "shape": BatchShape(None, None),
    "may_have_jobs": True,
    "queued": 0,
    "slots_free": 2,
    "calls_in_flight": 0,
    "call_fixed_s": 0.001,
    "was_blocked": False,
    "is_draining": False,
}


def quiet(**changes: object) -> ClaimMoment:
    """Return a moment with two free slots at which nothing waits and no call is in flight, but for what is changed."""
    return ClaimMoment(**QUIET | changes)


def lanes_with(inputs: int, *, are_whole: bool = True) -> Lanes:
    """Return lanes that hold so many inputs: of one lane, or all of lanes in which one more would fit."""
    lanes = Lanes(Tei().envelope_bytes)
    for number in range(inputs):
        options = None if are_whole or number % 2 else UNNORMALIZED
        route = "/embed" if are_whole else f"/{number // (CALL - 1)}"
        lanes.add(make_job(str(number), options=options, route=route))
    return lanes


def claimed(now: ClaimMoment, held: int = 0, *, are_whole: bool = True) -> int:
    return FullPolicy(WAIT_MS).wanted(now, lanes_with(held, are_whole=are_whole)).inputs


def under_a_storm(policy: Policy) -> Policy:
    """Let 20 inputs a millisecond come."""
    for number in range(200):
        policy.note_claim(20, number * 0.001)
    return policy


@pytest.mark.parametrize("slots_free", [1, 2, 5])
def test_what_the_free_slots_could_send_is_claimed(slots_free: int) -> None:
    """Other batchers may have free slots too, and could send what would only be held here."""
    assert claimed(quiet(slots_free=slots_free)) == slots_free * CALL
    assert claimed(quiet(slots_free=slots_free), held=10) == slots_free * CALL - 10


def test_a_trial_needs_a_call_and_has_no_slot() -> None:
    assert claimed(quiet(slots_free=0)) == CALL


@pytest.mark.parametrize("backlog", [{"queued": 1}, {"slots_free": 1, "calls_in_flight": 1}])
def test_under_backlog_a_window_is_claimed_to_choose_from(backlog: dict[str, int]) -> None:
    assert claimed(quiet(**backlog)) == WINDOW
    assert claimed(quiet(**backlog), held=100) == WINDOW - 100


def test_a_call_in_flight_is_no_backlog_while_more_than_one_slot_is_free() -> None:
    assert claimed(quiet(slots_free=2, calls_in_flight=3)) == 2 * CALL


def test_half_a_window_is_choice_enough_where_a_batch_is_whole() -> None:
    assert claimed(quiet(queued=1), held=WINDOW // 2 - 1) == WINDOW // 2 + 1
    assert claimed(quiet(queued=1), held=WINDOW // 2) == 0
    assert claimed(quiet(queued=1), held=WINDOW // 2, are_whole=False) == WINDOW // 2


def test_a_full_window_is_not_exceeded_though_no_batch_is_whole() -> None:
    assert claimed(quiet(queued=1), held=WINDOW + 20, are_whole=False) == 0


@pytest.mark.parametrize("reason", [{"may_have_jobs": False}, {"is_draining": True}])
def test_nothing_is_claimed_where_nothing_waits_or_the_batcher_stops(reason: dict[str, bool]) -> None:
    assert claimed(quiet(queued=9, **reason)) == 0


def test_without_a_storm_no_claim_waits() -> None:
    assert FullPolicy(WAIT_MS).wanted(quiet(), lanes_with(0)).linger_s == 0


@pytest.mark.parametrize(("held", "queued", "linger_ms"), [(0, 0, 1.6), (12, 0, 1.0), (2, 10, 1.0), (12, 20, 0)])
def test_under_a_storm_a_claim_waits_until_a_batch_is_there(held: int, queued: int, linger_ms: float) -> None:
    policy = under_a_storm(FullPolicy(WAIT_MS))

    linger_s = policy.wanted(quiet(queued=queued), lanes_with(held)).linger_s

    assert linger_s == pytest.approx(linger_ms / 1000, rel=0.05)


def test_no_wait_precedes_a_claim_of_nothing() -> None:
    assert under_a_storm(FullPolicy(WAIT_MS)).wanted(quiet(may_have_jobs=False), lanes_with(0)).linger_s == 0
