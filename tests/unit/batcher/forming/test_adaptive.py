"""Where the policy `adaptive` waits, and where it does not."""

import pytest
from msgspec.structs import replace

from autobatch_batcher.forming.adaptive import AdaptivePolicy
from autobatch_batcher.forming.lanes import Reason, batch_of
from autobatch_batcher.forming.pace import LINGER_MAX_S
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits
from tests.unit.batcher.forming.test_full import CALL, WAIT_MS, lanes_with, quiet, under_a_storm
from tests.unit.batcher.forming.test_policies import at, lanes_of
from tests.unit.builders import make_job

CALL_S = 0.001
SOON_S, LATE_S = 0.001, 1.0


def lingers_s(policy: AdaptivePolicy, *, held: int = 0, queued: int = 0, calls_in_flight: int = 0) -> float:
    now = quiet(queued=queued, calls_in_flight=calls_in_flight, call_fixed_s=CALL_S)
    return policy.wanted(now, lanes_with(held)).linger_s


def leaves(policy: AdaptivePolicy, reason: Reason, now_s: float) -> None:
    policy.note_sent(batch_of([make_job("a")], reason), now_s)


def after_lone_requests(every_s: float = LATE_S) -> AdaptivePolicy:
    """Return a policy that saw one client ask again whenever it had its answer."""
    policy = AdaptivePolicy(WAIT_MS)
    for number in range(3):
        policy.note_claim(1, number * every_s)
        leaves(policy, Reason.IDLE, number * every_s)
        policy.note_idle()
    return policy


def test_the_first_after_silence_waits_as_long_as_a_call_costs() -> None:
    assert lingers_s(AdaptivePolicy(WAIT_MS)) == CALL_S


@pytest.mark.parametrize(("call_s", "wait_max_ms", "linger_s"), [(1.0, 10, LINGER_MAX_S), (1.0, 1, 0.001), (0, 10, 0)])
def test_it_never_waits_longer_than_allowed(call_s: float, wait_max_ms: int, linger_s: float) -> None:
    assert AdaptivePolicy(wait_max_ms).wanted(quiet(call_fixed_s=call_s), lanes_with(0)).linger_s == linger_s


def test_what_waited_for_a_slot_waits_no_longer() -> None:
    now = quiet(call_fixed_s=CALL_S, was_blocked=True)

    assert AdaptivePolicy(WAIT_MS).wanted(now, lanes_with(0)).linger_s == 0


@pytest.mark.parametrize("what", ["held", "queued", "calls_in_flight"])
def test_there_is_no_silence_while_something_is_held_queued_or_in_flight(what: str) -> None:
    assert lingers_s(AdaptivePolicy(WAIT_MS), **{what: 1}) == 0


def test_a_storm_is_waited_for_although_calls_are_in_flight() -> None:
    policy = AdaptivePolicy(WAIT_MS)
    under_a_storm(policy)

    assert lingers_s(policy, calls_in_flight=1) == pytest.approx(0.0016, rel=0.05)


@pytest.mark.parametrize("every_s", [LATE_S, SOON_S])
def test_a_client_that_asks_alone_waits_for_nothing_after_a_few_times(every_s: float) -> None:
    """However fast its answers come, its next request is no companion of the one before."""
    assert lingers_s(after_lone_requests(every_s)) == 0


def test_companions_that_come_while_the_first_is_on_its_way_make_the_next_first_wait() -> None:
    policy = after_lone_requests()
    for second in range(10, 13):
        leaves(policy, Reason.IDLE, second)
        policy.note_claim(5, second + SOON_S)
        policy.note_idle()

    assert lingers_s(policy) == CALL_S


def test_a_claim_that_brings_nothing_brings_no_companion() -> None:
    policy = after_lone_requests()
    for second in range(10, 13):
        leaves(policy, Reason.IDLE, second)
        policy.note_claim(0, second + SOON_S)
        policy.note_idle()

    assert lingers_s(policy) == 0


@pytest.mark.parametrize("reason", [Reason.FULL, Reason.DUE, Reason.DRAIN])
def test_a_batch_that_left_for_another_reason_teaches_nothing(reason: Reason) -> None:
    policy = after_lone_requests()
    for second in range(10, 13):
        leaves(policy, reason, second)
        policy.note_claim(5, second + SOON_S)

    assert lingers_s(policy) == 0


def reason_for(*, held: int, busy_ms: float, is_idle: bool = False) -> Reason | None:
    """Return why a batch of so many inputs leaves after its wait, if it does."""
    now = at(WAIT_MS, limits=quiet().limits, busy_ms=busy_ms, is_idle=is_idle)
    batch = AdaptivePolicy(WAIT_MS).take(now, lanes_with(held))
    return batch.reason if batch is not None else None


def test_a_call_that_would_only_wait_at_the_upstream_is_made_when_that_is_free() -> None:
    """Meanwhile others may come, and share what it costs whatever it carries."""
    assert [Reason.DUE, None] == [reason_for(held=3, busy_ms=0.0), reason_for(held=3, busy_ms=7.5)]


def test_a_full_call_waits_at_the_upstream() -> None:
    """Nothing could join it, and so the upstream has it at hand."""
    assert Reason.FULL is reason_for(held=CALL, busy_ms=7.5)


def test_an_upstream_that_is_done_earlier_than_expected_is_called() -> None:
    assert Reason.IDLE is reason_for(held=3, busy_ms=7.5, is_idle=True)


def asked_again(policy: AdaptivePolicy, calls: int, *, back: int, after_s: float = SOON_S) -> None:
    """Calls with two inputs each end, and so many of these clients ask again a moment later."""
    for number in range(calls):
        policy.note_ended(2, number + 2 * SOON_S)
        policy.note_claim(back, number + after_s)


def leaves_idle_upstream(policy: AdaptivePolicy, *, held: int, ask_again_s: float = SOON_S) -> bool:
    """Whether so many that waited leave at once for an upstream whose call, with two inputs, has just ended."""
    now = at(WAIT_MS, limits=quiet().limits, is_idle=True, ask_again_s=ask_again_s)
    return policy.take(now, lanes_with(held)) is not None


def test_those_who_wait_leave_with_those_who_ask_again_in_a_moment() -> None:
    """Or two groups of clients would take turns, in calls of half the size."""
    policy = AdaptivePolicy(WAIT_MS)
    asked_again(policy, 8, back=2)
    policy.note_ended(2, 8 + SOON_S)
    assert [False, True] == [leaves_idle_upstream(policy, ask_again_s=each, held=1) for each in (SOON_S, 0.0)]

    policy.note_claim(2, 8 + SOON_S / 2)
    assert leaves_idle_upstream(policy, held=1)


def test_they_do_not_wait_for_fewer_than_they_are() -> None:
    policy = AdaptivePolicy(WAIT_MS)
    asked_again(policy, 8, back=2)
    policy.note_ended(2, 8 + SOON_S)
    assert leaves_idle_upstream(policy, held=3)


@pytest.mark.parametrize(("back", "after_s"), [(0, SOON_S), (2, LATE_S / 2)])
def test_where_clients_do_not_ask_again_at_once_nobody_waits_for_them(back: int, after_s: float) -> None:
    policy = AdaptivePolicy(WAIT_MS)
    asked_again(policy, 8, back=2)
    asked_again(policy, 8, back=back, after_s=after_s)
    policy.note_ended(2, 8 + SOON_S)
    assert leaves_idle_upstream(policy, held=1)


PASS = 8  # of an upstream that takes four of them in a call


def leaves_for_passes(*, held: int, ahead: int, longest: int = 60, calls_max: int = 2) -> int:
    """Return how many of so many inputs leave, of which every other one is so long, while so many are at the upstream."""
    lanes = lanes_of([make_job(str(n), longest=60 if n % 2 else longest, at=n) for n in range(held)])
    limits = Limits(4 * PASS, 1_000_000, 512, pass_inputs_max=PASS)
    shape = BatchShape(padding_max=120.0, units_max=None)
    now = replace(at(held, limits=limits, shape=shape, is_idle=ahead == 0), ahead_inputs=ahead, calls_max=calls_max)
    batch = AdaptivePolicy(wait_max_ms=1000).take(now, lanes)
    return 0 if batch is None else batch.inputs


@pytest.mark.parametrize(("held", "sent"), [(7, 7), (16, 8), (17, 8), (48, 24), (64, 32)])
def test_two_calls_share_the_passes_of_what_waits(held: int, sent: int) -> None:
    """One of all would leave the upstream nothing to compute while its answers are on their way."""
    assert leaves_for_passes(held=held, ahead=0) == sent


@pytest.mark.parametrize(
    ("held", "ahead", "sent"), [(7, 8, 0), (8, 8, 8), (9, 8, 8), (23, 2, 16), (8, 9, 0), (31, 16, 0)]
)
def test_a_whole_pass_leaves_while_the_upstream_has_no_more_than_one(held: int, ahead: int, sent: int) -> None:
    """With more to compute it is in no hurry, and fuller calls cost less of our own."""
    assert leaves_for_passes(held=held, ahead=ahead) == sent


def test_where_lengths_differ_more_to_choose_from_is_worth_more_than_a_pass() -> None:
    assert leaves_for_passes(held=8, ahead=8, longest=600) == 0


def test_one_call_at_a_time_carries_all_that_waits() -> None:
    assert leaves_for_passes(held=16, ahead=0, calls_max=1) == 16
