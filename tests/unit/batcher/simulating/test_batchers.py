"""Real batchers in virtual time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from itertools import cycle, repeat

import pytest

from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.clients import ClosedLoop, RunHistory, SimulatedRequest, TimedArrivals
from autobatch_batcher.simulating.fixed_policies import FixedPolicy, run_fixed
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.score import score
from autobatch_batcher.simulating.simulated_queue import SimulatedQueueEnd
from autobatch_batcher.simulating.virtual_time import VirtualTimeLoop
from autobatch_batcher.simulating.workers import CALL_S, CLAIM_S, PUSH_S, REPLY_S, WAKE_S
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.settings.definitions import BatcherSettings

TEN_MS = law_of("padded:fixed_ms=10")
DEFAULTS = BatcherSettings.model_construct()
FIFO = BatcherSettings.model_construct(batch_shape="fifo", max_batch_size=8, max_concurrent_batches=1)


def test_a_lone_request_takes_its_call_and_the_round_trips() -> None:
    asked = [(3.0, SimulatedRequest((5,)))]
    (answered,) = run_batchers(TEN_MS, TimedArrivals(asked), SimulatedFleet(DEFAULTS), 4.0).answered
    least_s = 0.01 + PUSH_S + WAKE_S + CLAIM_S + CALL_S + REPLY_S
    assert least_s - 1e-9 <= answered.ended_s - answered.sent_s <= least_s + 0.003  # what a burst would be waited for


def test_a_run_leaves_the_log_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    run_batchers(TEN_MS, TimedArrivals([(0.0, SimulatedRequest((5,)))]), SimulatedFleet(DEFAULTS), 0.1)
    logging.getLogger("autobatch_batcher.app").error("heard")
    assert ["heard"] == caplog.messages


def test_equal_runs_are_equal() -> None:
    law = law_of("padded:fixed_ms=2,per_unit_us=10,noise=0.3")

    def run() -> RunHistory:
        return run_batchers(law, ClosedLoop(16, cycle((10, 200, 50))), SimulatedFleet(DEFAULTS), 2.0, seed=7)

    assert run() == run()


def test_batchers_in_fifo_are_the_fixed_policy_of_their_settings() -> None:
    """So what the two are measured with is the same: the traffic, the upstream, the round trips."""
    law = law_of("padded:fixed_ms=5,per_unit_us=10")
    batchers, fixed = (
        score(history, 1.0, 5.0)
        for history in (
            run_batchers(law, ClosedLoop(32, cycle((10, 200, 50))), SimulatedFleet(FIFO), 5.0),
            run_fixed(law, ClosedLoop(32, cycle((10, 200, 50))), FixedPolicy(8, 1), 5.0),
        )
    )
    assert pytest.approx(fixed.goodput, rel=0.03) == batchers.goodput
    assert pytest.approx(fixed.p50_ms, rel=0.03) == batchers.p50_ms
    assert pytest.approx(fixed.batch, rel=0.03) == batchers.batch


@pytest.mark.parametrize("batchers", [1, 3])
def test_every_request_is_answered_once_by_any_number_of_batchers(batchers: int) -> None:
    arrivals = [
        (0.001 * number, SimulatedRequest((5,) * (1 + number % 70), is_bulk=number % 7 == 0)) for number in range(300)
    ]
    fleet = SimulatedFleet(DEFAULTS, batchers=batchers, upstreams=2)
    history = run_batchers(law_of("padded:fixed_ms=1"), TimedArrivals(arrivals), fleet, 10.0)
    assert sorted(at_s for at_s, _ in arrivals) == pytest.approx(sorted(each.sent_s for each in history.answered))
    assert sum(len(asked.lengths) for _, asked in arrivals) == sum(call.inputs for call in history.calls)


def test_single_requests_wait_for_calls_of_bulk_work_and_not_for_its_queue() -> None:
    """Two clients that send lists without pause have four hundred inputs in the queue: 8 s of work."""
    law = law_of("padded:fixed_ms=2,per_unit_us=13")
    traffic = ClosedLoop(4, cycle((60, 1100, 40, 80, 50)), bulk_clients=2)
    history = run_batchers(law, traffic, SimulatedFleet(DEFAULTS), 10.0)
    assert score(history, 5.0, 10.0).p99_ms < 700


def test_what_the_upstream_refuses_is_asked_again() -> None:
    law = law_of("padded:fixed_ms=10,in_flight_inputs_max=4")
    history = run_batchers(law, TimedArrivals([(0.0, SimulatedRequest((5,)))] * 32), SimulatedFleet(DEFAULTS), 20.0)
    assert [True] * 32 == [each.is_good for each in history.answered]


def test_a_closed_loop_never_has_more_in_flight_than_its_clients() -> None:
    history = run_batchers(TEN_MS, ClosedLoop(5, repeat(9)), SimulatedFleet(DEFAULTS), 3.0)
    assert max(call.inputs for call in history.calls) <= 5


def test_the_simulated_queue_does_what_the_real_one_does() -> None:
    """All but what follows a crash of the upstream or of a batcher: nothing crashes here."""
    of_crashes = {"begin_trial", "end_trial", "is_trying", "bury", "give_back", "redis_ms"}
    assert public(BatcherQueue) - of_crashes == public(SimulatedQueueEnd)


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


async def turn_for_ever() -> None:
    while True:  # noqa: ASYNC110 - what is not to be done
        await asyncio.sleep(0)


async def wait_for_nothing() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("forever", "told"), [(turn_for_ever, "turns without waiting"), (wait_for_nothing, "everything waits")]
)
def test_a_run_that_would_never_end_is_told(forever: Callable[[], Coroutine[None, None, None]], told: str) -> None:
    loop = VirtualTimeLoop()
    task = loop.create_task(forever())
    with pytest.raises(RuntimeError, match=told):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


@pytest.mark.parametrize("cost", ["padded:fixed_ms=1.5,per_unit_us=13", "unpadded:fixed_ms=20,per_unit_us=1.5"])
def test_several_batchers_do_as_much_as_one(cost: str) -> None:
    """Two that call as if there were no other one do 0.6 to 0.7 of it, four a third to a half."""
    one, *more = (
        score(
            run_batchers(law_of(cost), ClosedLoop(64, cycle((30, 1000, 60, 90))), SimulatedFleet(DEFAULTS, n), 12.0),
            6,
            12,
        ).goodput
        for n in (1, 2, 4)
    )

    assert min(more) >= 0.9 * one


def test_no_request_waits_for_two_batchers_that_start_together() -> None:
    fleet = SimulatedFleet(DEFAULTS, batchers=2)
    history = run_batchers(TEN_MS, ClosedLoop(16, repeat(30)), fleet, 4.0)

    assert max(each.ended_s - each.sent_s for each in history.answered) < 0.3


def test_requests_that_come_together_are_pushed_one_after_the_other() -> None:
    """So a batcher whose upstream is idle does not find all of those in the queue that an answer has brought."""

    def mean_batch(apart_s: float) -> float:
        fleet = SimulatedFleet(DEFAULTS, apart_s=apart_s)
        law = law_of("unpadded:fixed_ms=6,per_input_us=4000")
        return score(run_batchers(law, ClosedLoop(16, cycle((10,))), fleet, 4.0), 2.0, 4.0).batch

    assert 12 < mean_batch(0.0)
    assert 4 < mean_batch(0.0005) < 10
